/** What a command of the gateway's machine is answered: the text for people, or the problem. `data` is the same for programs. */
export type HostAnswer =
  { readonly ok: true; readonly text: string; readonly data?: object } | { readonly ok: false; readonly problem: string };

/** An answer that no control plane gives: whether there is one at that address at all. */
import { servedVersion } from "./approval-page.ts";
import type { Dialler } from "./dialler.ts";

/** @returns for people: with whom this machine speaks there, judged by GET /healthz (PROTOCOL.md MA4) */
export async function strangeAnswer(dialler: Dialler, appOrigin: string, status: number): Promise<string> {
  if ((await servedVersion(dialler, appOrigin)) === null)
    return `${appOrigin} is not a Gatehouse: it answered ${status}, and there is no /healthz. Check the address.`;
  return `The control plane answered ${status}.`;
}

/** What a request turned out to be, for its line in the log: noted on the way by whoever knows. */

export interface RequestNote {
  /** Template: method and path with names for what varies. */
  route: string;
  decision: string;
  /** Ids as they are; the log gets eight characters of an HMAC. */
  gateway: string | null;
  account: string | null;
  /** Of an error that nobody expected (failure-code.ts). */
  code: string | null;
}

const notes = new WeakMap<Request, RequestNote>();

/** @returns the request's own note, to be filled in */
export function noteOf(request: Request): RequestNote {
  let note = notes.get(request);
  if (note === undefined) {
    note = { route: "*", decision: "ok", gateway: null, account: null, code: null };
    notes.set(request, note);
  }
  return note;
}

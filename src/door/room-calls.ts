/** What the door asks its room over HTTP. */
import type { DoorError } from "../protocol/door-messages.ts";
import { DOOR_PREFIX } from "../protocol/words.ts";

/** The room said no; `failed` when it gave no reason that this page knows. */
export class Refused extends Error {
  readonly code: DoorError | "failed";
  constructor(code: DoorError | "failed") {
    super(code);
    this.code = code;
  }
}

/** One call of the door to its room. @param path below the door's API @throws Refused, or TypeError when nothing answers */
export async function post<T>(path: string, body: object): Promise<T> {
  const response = await fetch(`${DOOR_PREFIX}api/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const value = (await response.json().catch(() => ({}))) as T & { error?: { code?: DoorError } };
  if (!response.ok) throw new Refused(value.error?.code ?? "failed");
  return value;
}

/** Building blocks of the approval page: elements, views, calls, and errors in words. */
import type { ApiErrorCode } from "../protocol/api-errors.ts";
import { TEXTS } from "./texts.ts";

type Child = Node | string;

/** Makes an element. `on` handlers are added as listeners; everything else becomes an attribute. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string | boolean>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Terms and their values. */
export function facts(rows: readonly (readonly [string, string])[]): HTMLDListElement {
  return h("dl", {}, ...rows.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
}

/** A button that runs one act at a time and shows its failure in words. */
export function button(label: string, kind: "primary" | "danger" | "link" | "", act: () => Promise<void> | void): HTMLButtonElement {
  const element = h("button", { type: "button", ...(kind === "" ? {} : { class: kind }) }, label);
  element.addEventListener("click", () => void run(element, act));
  return element;
}

/** Runs an act with its button disabled; a failure is announced. */
export async function run(element: HTMLButtonElement | null, act: () => Promise<void> | void): Promise<void> {
  if (element !== null) element.disabled = true;
  say("");
  try {
    await act();
  } catch (error) {
    say(inWords(error), true);
  } finally {
    if (element !== null) element.disabled = false;
  }
}

function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(id);
  return found;
}

/** The announced line below the heading. */
export function say(text: string, isError = false): void {
  const paragraph = h("p", isError ? { class: "bad", role: "alert" } : {}, text);
  byId("status").replaceChildren(...(text === "" ? [] : [paragraph]));
}

let shownTitle = "";

/** Replaces the view; the heading takes the focus so that a screen reader starts there. */
export function view(title: string, ...children: readonly Child[]): void {
  document.title = `${title} · Gatehouse`;
  byId("title").textContent = title;
  say("");
  byId("view").replaceChildren(...children);
  if (shownTitle !== "" && shownTitle !== title) byId("title").focus();
  shownTitle = title;
}

/** Something that the person can mend; its text is for them. */
export class Told extends Error {}

/** The API said no. */
export class ApiFailure extends Error {
  readonly code: ApiErrorCode;
  readonly triesLeft: number | undefined;

  constructor(code: ApiErrorCode, message: string, triesLeft: number | undefined) {
    super(message);
    this.code = code;
    this.triesLeft = triesLeft;
  }
}

/** @throws ApiFailure */
export async function call<T>(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: object): Promise<T> {
  const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(path, { method, ...init });
  const value = (await response.json().catch(() => ({}))) as T & { error?: { code: ApiErrorCode; message: string; triesLeft?: number } };
  if (!response.ok) throw new ApiFailure(value.error?.code ?? "internal", value.error?.message ?? TEXTS.noAnswer, value.error?.triesLeft);
  return value;
}

const RETRY_MS = [500, 1_500, 4_000] as const;

/** Whether the same call may succeed in a moment: the network, or a part of the server, is away. */
function isPassing(error: unknown): boolean {
  return error instanceof ApiFailure ? error.code === "unavailable" || error.code === "internal" : error instanceof TypeError;
}

/** A call that does nothing twice: tried again, and said so, before it fails. @throws ApiFailure */
export async function patientCall<T>(method: "GET" | "POST", path: string, body?: object): Promise<T> {
  for (const waitMs of RETRY_MS) {
    try {
      return await call<T>(method, path, body);
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
    say(TEXTS.tryingAgain);
    await new Promise((resolve) => {
      setTimeout(resolve, waitMs);
    });
    say("");
  }
  return call<T>(method, path, body);
}

/** @returns one sentence of cause and one of action */
export function inWords(error: unknown): string {
  if (error instanceof ApiFailure || error instanceof Told) return error.message;
  // What a browser or a library says is for its developers; its name tells which of our texts fits.
  switch (error instanceof Error ? error.name : "") {
    case "NotAllowedError":
    case "AbortError":
      return TEXTS.passkeyUnused;
    case "InvalidStateError":
      return TEXTS.passkeyHere;
    case "NotSupportedError":
    case "SecurityError":
    case "ConstraintError":
      return TEXTS.passkeysUnsupported;
    case "TypeError":
      return TEXTS.noNetwork;
    default:
      return TEXTS.unknown;
  }
}

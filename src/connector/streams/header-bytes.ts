/** Header fields between the room, whose runtime reads and writes them as UTF-8, and Node, which takes each byte for a Latin-1 character. */
import http from "node:http";

const BEYOND_ASCII = /[^\0-\x7f]/;
/** Set by this connector: one that cannot be written must fail the request, because OpenClaw would judge it without that field. */
const OWN = /^(?:host$|x-forwarded-|x-openclaw-)/;

function asNodeWrites(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text;
}

function isWritable(name: string, value: string): boolean {
  try {
    http.validateHeaderName(name);
    http.validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

/**
 * A request's fields as Node must be given them, so that the gateway gets the visitor's bytes (PROTOCOL.md IS8).
 *
 * @param headers as `forwardedHeaders` returns them
 * @returns the same fields; without a visitor's field that HTTP/1.1 cannot carry (RFC 9110 §5.5), which must not fail the whole exchange
 */
export function requestFields(headers: Readonly<Record<string, string | string[]>>): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    const values = (Array.isArray(value) ? value : [value]).map(asNodeWrites);
    const kept = OWN.test(name) ? values : values.filter((each) => isWritable(name, each));
    if (kept.length > 0) fields[name] = kept.length === 1 ? (kept[0] as string) : kept;
  }
  return fields;
}

function asRoomWrites(text: string): string {
  if (!BEYOND_ASCII.test(text)) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(text, "latin1"));
  } catch {
    // Latin-1 on the wire: the room's runtime writes only UTF-8, so the characters arrive and not the bytes.
    return text;
  }
}

/** @param raw Node's flat list of an answer's fields @returns names and values; a value that is UTF-8 leaves the room as the same bytes */
export function answerFields(raw: readonly string[]): [string, string][] {
  const out: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) out.push([raw[i] ?? "", asRoomWrites(raw[i + 1] ?? "")]);
  return out;
}

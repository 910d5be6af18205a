/** The connector as an npm tarball, made for this control plane: it already knows where to call (design.md 4). */
import { TAR_END, tarEntry } from "../../core/http/tar-entry.ts";
import { toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import { readConfig } from "../config.ts";
import type { Env } from "../env.ts";
import { errorResponse } from "../respond.ts";
import { VERSION } from "../version.ts";

/** The deployment's own part of the archive. */
interface OwnPart {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly tag: string;
}

async function ownPart(appOrigin: string): Promise<OwnPart> {
  const origin = utf8(`${JSON.stringify({ appOrigin })}\n`);
  const packed = new Blob([tarEntry("origin.json", origin, "0000644"), TAR_END]).stream().pipeThrough(new CompressionStream("gzip"));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", origin));
  return { bytes: new Uint8Array(await new Response(packed).arrayBuffer()), tag: toBase64url(hash).slice(0, 12) };
}

const ownParts = new WeakMap<Env, Promise<OwnPart>>();

/** @returns the tarball of exactly this version; other versions are not found, so that versions always match. 304 for whoever has it */
export async function connectorPackage(request: Request, env: Env, file: string): Promise<Response> {
  if (file !== `connector-${VERSION}.tgz`) return errorResponse("not-found");
  let own = ownParts.get(env);
  if (own === undefined) {
    own = ownPart(readConfig(env).appOrigin);
    ownParts.set(env, own);
  }
  // Packed by the build. A gzip file may have several members (RFC 1952 §2.2): the second is a few bytes and the only one made here.
  const [{ bytes, tag }, program] = await Promise.all([own, env.ASSETS.fetch(new URL("/connector/program.tgz", request.url).href)]);
  if (!program.ok) return errorResponse("not-found");
  const etag = `"${(program.headers.get("etag") ?? VERSION).replace(/^W\/|"/g, "")}-${tag}"`;
  const headers = new Headers({ etag, "cache-control": "public, max-age=300", "x-content-type-options": "nosniff" });
  if (isKnown(request, etag)) return new Response(null, { status: 304, headers });
  headers.set("content-type", "application/octet-stream");
  return new Response(new Blob([await program.arrayBuffer(), bytes]), { headers });
}

/** @returns whether the client has this one already (RFC 9110 §13.1.2) */
function isKnown(request: Request, etag: string): boolean {
  const known = request.headers.get("if-none-match") ?? "";
  return known.split(",").some((each) => each.trim().replace(/^W\//, "") === etag);
}

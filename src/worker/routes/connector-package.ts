/** The connector as an npm tarball, made for this control plane: it already knows where to call (design.md 4). */
import type { Env } from "../env.ts";
import { errorResponse } from "../respond.ts";
import { VERSION } from "../version.ts";
import { utf8 } from "../../protocol/statement-encoding.ts";

const BLOCK = 512;

/** One ustar entry (POSIX.1-1988): header block, content, padding. */
function tarEntry(name: string, content: Uint8Array, mode: string): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(BLOCK);
  const put = (at: number, text: string): void => header.set(utf8(text), at);
  put(0, `package/${name}`);
  put(100, `${mode}\0`);
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, `${content.byteLength.toString(8).padStart(11, "0")}\0`);
  // One fixed time: the same version gives the same bytes.
  put(136, "00000000000\0");
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\u000000");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  const out = new Uint8Array(BLOCK + Math.ceil(content.byteLength / BLOCK) * BLOCK);
  out.set(header);
  out.set(content, BLOCK);
  return out;
}

/** @returns the tarball of exactly this version; other versions are not found, so that versions always match */
export async function connectorPackage(request: Request, env: Env, file: string): Promise<Response> {
  if (file !== `connector-${VERSION}.tgz`) return errorResponse("not-found");
  const asset = async (name: string): Promise<Uint8Array> =>
    new Uint8Array(await (await env.ASSETS.fetch(new URL(`/connector/${name}`, request.url).href)).arrayBuffer());
  const origin = utf8(`${JSON.stringify({ appOrigin: new URL(env.APP_ORIGIN).origin })}\n`);
  const parts = [
    tarEntry("package.json", await asset("package.json"), "0000644"),
    tarEntry("origin.json", origin, "0000644"),
    tarEntry("gatehouse.mjs", await asset("gatehouse.mjs"), "0000755"),
    new Uint8Array(2 * BLOCK),
  ];
  const body = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(body, {
    headers: { "content-type": "application/octet-stream", "cache-control": "public, max-age=300", "x-content-type-options": "nosniff" },
  });
}

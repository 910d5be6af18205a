/** A gateway's audit chain or key log as a download: read page by page, never held whole. */
import { utf8 } from "../../protocol/statement-encoding.ts";

/**
 * @param name of the file
 * @param page lines from a place on; empty at the end
 * @returns JSON Lines (one object on a line), streamed
 * @throws whatever the first page throws, so that a refusal is an answer and not a broken download
 */
export async function linesExport(name: string, page: (from: number) => Promise<readonly string[]>): Promise<Response> {
  let next = await page(0);
  let from = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (next.length === 0) return controller.close();
      controller.enqueue(utf8(`${next.join("\n")}\n`));
      from += next.length;
      next = await page(from);
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "application/jsonl; charset=utf-8",
      "content-disposition": `attachment; filename="${name}"`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}

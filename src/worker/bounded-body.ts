/** Request bodies of strangers: never more in memory than the limit, whatever Content-Length says or leaves out. */

/** @returns the body as text, or null when it is longer than `maxBytes` or breaks off; the rest is not read then */
export async function boundedText(request: Request, maxBytes: number): Promise<string | null> {
  if (request.body === null) return "";
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let total = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      total += value.byteLength;
      if (total > maxBytes) {
        await reader.cancel();
        return null;
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    return null;
  }
}

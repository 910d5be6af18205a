/** What a Worker's objects really hold, as workerd's inspector tells it: resident memory also has garbage, and what Miniflare's own Workers need. */
import { once } from "node:events";
import { WebSocket } from "ws";

/** Sum of used heap, of what embedder objects take and of buffers outside, in bytes: Chrome DevTools Protocol, Runtime.getHeapUsage. */
interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize?: number;
  readonly backingStorageSize?: number;
}

/**
 * Collects garbage first.
 *
 * @param inspectorPort of a workerd that Miniflare started with one Worker
 * @returns MiB that the Worker's heap still holds, all its objects together
 * @throws Error when the inspector does not answer as expected
 */
export async function liveHeapMib(inspectorPort: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${inspectorPort}/json`);
  const targets = (await answer.json()) as { readonly webSocketDebuggerUrl: string }[];
  const own = targets.find(({ webSocketDebuggerUrl }) => webSocketDebuggerUrl.includes("/core:user:"));
  if (own === undefined) throw new Error("the inspector knows no Worker of ours");
  const ws = new WebSocket(own.webSocketDebuggerUrl, { perMessageDeflate: false });
  try {
    await once(ws, "open");
    let last = 0;
    const ask = async (method: string): Promise<unknown> => {
      const id = (last += 1);
      ws.send(JSON.stringify({ id, method }));
      for (;;) {
        const [data] = (await once(ws, "message")) as [Buffer];
        const message = JSON.parse(data.toString("utf8")) as { id?: number; result?: unknown };
        if (message.id === id) return message.result;
      }
    };
    await ask("HeapProfiler.collectGarbage");
    const usage = (await ask("Runtime.getHeapUsage")) as HeapUsage;
    return (usage.usedSize + (usage.embedderHeapUsedSize ?? 0) + (usage.backingStorageSize ?? 0)) / 1024 / 1024;
  } finally {
    ws.terminate();
  }
}

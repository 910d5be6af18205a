/** A socket in the state folder, for this machine's owner only: `status` and `cut` of the running connector. Also keeps a second one from starting. */
import { chmodSync, rmSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import * as z from "zod";
import { digestIdSchema, hashSchema } from "../../protocol/statements.ts";
import { hostActionSchema } from "./host-actions.ts";
import type { HostAction } from "./host-actions.ts";
import type { HostAnswer } from "./host-answer.ts";

const askSchema = z.discriminatedUnion("ask", [
  z.object({ ask: z.literal("status") }),
  z.object({ ask: z.literal("hops") }),
  z.object({ ask: z.literal("view") }),
  z.object({ ask: z.literal("cut"), device: z.string().max(64) }),
  z.object({ ask: z.literal("blocked"), unblock: digestIdSchema.nullable() }),
  z.object({ ask: z.literal("host"), action: hostActionSchema }),
  z.object({ ask: z.literal("rotate-secret") }),
  z.object({ ask: z.literal("answer-settings"), hash: hashSchema, yes: z.boolean() }),
]);
export type Ask = z.infer<typeof askSchema>;

export const ALREADY_RUNNING = "already running";
const MAX_LINE_CHARS = 4096;

export interface LocalHandlers {
  status(): object;
  /** What this process sees of the machine. */
  view(): Promise<object>;
  /** Measures now. */
  hops(): Promise<object>;
  cut(device: string): Promise<object>;
  /** Which devices the room keeps from asking, or why it cannot be asked. */
  blocked(unblock: string | null): Promise<object>;
  host(action: HostAction): Promise<HostAnswer>;
  /** The person at this machine answers the question for OpenClaw's settings. */
  answerSettings(hash: string, yes: boolean): Promise<object>;
  rotateSecret(): Promise<object>;
}

function socketPath(dir: string): string {
  return path.join(dir, "control.sock");
}

/** @returns the running connector's answer, or null when none runs */
export function askRunning(dir: string, ask: Ask): Promise<object | null> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath(dir));
    let text = "";
    socket.on("connect", () => socket.end(`${JSON.stringify(ask)}\n`));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    socket.on("error", () => resolve(null));
    socket.on("close", () => {
      try {
        resolve(JSON.parse(text) as object);
      } catch {
        resolve(null);
      }
    });
  });
}

/** Listens; `ready` rejects with ALREADY_RUNNING when another connector has this state folder. */
export function listenLocally(dir: string, handlers: LocalHandlers): { readonly ready: Promise<void>; close(): Promise<void> } {
  const file = socketPath(dir);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    let text = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.length > MAX_LINE_CHARS) socket.destroy();
    });
    socket.on("end", () => {
      answer(text, handlers).then(
        (reply) => socket.end(JSON.stringify(reply)),
        () => socket.end(JSON.stringify({ error: "failed" })),
      );
    });
  });
  const ready = (async (): Promise<void> => {
    if ((await askRunning(dir, { ask: "status" })) !== null) throw new Error(ALREADY_RUNNING);
    rmSync(file, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(file, () => resolve());
    });
    chmodSync(file, 0o600);
  })();
  return {
    ready,
    close: () =>
      new Promise((resolve) => {
        if (server.listening) server.close(() => resolve());
        else resolve();
      }),
  };
}

async function answer(text: string, handlers: LocalHandlers): Promise<object> {
  const ask = askSchema.parse(JSON.parse(text));
  if (ask.ask === "host") return handlers.host(ask.action);
  if (ask.ask === "rotate-secret") return handlers.rotateSecret();
  if (ask.ask === "answer-settings") return handlers.answerSettings(ask.hash, ask.yes);
  if (ask.ask === "blocked") return handlers.blocked(ask.unblock);
  if (ask.ask === "hops") return handlers.hops();
  if (ask.ask === "view") return handlers.view();
  return ask.ask === "status" ? handlers.status() : handlers.cut(ask.device);
}

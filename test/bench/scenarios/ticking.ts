/** A socket that gets a message every millisecond. */
import { ticks } from "../../support/echo.ts";
import type { OpenSocket } from "../load.ts";

const TICKS_FIRST = 20;

/** Asks for ticks and waits until they flow. @returns asks when the last message came, by performance.now() */
export async function ticking({ ws, closed }: OpenSocket): Promise<() => number> {
  let count = 0;
  let lastAt = 0;
  const flowing = new Promise<void>((resolve) => {
    ws.on("message", () => {
      lastAt = performance.now();
      count += 1;
      if (count === TICKS_FIRST) resolve();
    });
  });
  ws.send(ticks(1));
  await Promise.race([flowing, closed.then(({ code }) => Promise.reject(new Error(`closed ${code} before it was cut`)))]);
  return () => lastAt;
}

/** Bugs that are put in on purpose, one at a time: a checker that never finds anything proves nothing. Some are bugs that were really there. */
import { BYTES_MISSING, BYTES_TWICE } from "../../src/core/link/frame-order.ts";
import type { Plant } from "./build.ts";
import { START_MS } from "./sim.ts";

const NOTHING = "";

function plant(name: string, file: string, find: string, replace: string): Plant {
  return { name, edits: [{ file, find, replace }] };
}

/** Until then: what is lost last of all shows with the next frame, and none comes. */
const BAD_UNTIL_MS = 85_000;

/** A line that lost, doubled or changed frames on their way, now and then: after they said their place. */
function badLine(name: string, happens: string): Plant {
  const put = `    this.#waiting.push({ type, flags: allFlags, streamId, payload, place: isPlaced ? order.take(payloadBytes) : 0 });\n`;
  return plant(
    name,
    "core/link/frame-sender.ts",
    put,
    `${put}    const all = this.#waiting;\n    if (isPlaced && Date.now() < ${START_MS + BAD_UNTIL_MS} && ${happens};\n`,
  );
}

export const PLANTS: readonly Plant[] = [
  {
    name: "a session statement counts twice",
    edits: [
      {
        file: "worker/room/pairing/sessions.ts",
        find: `if (!this.#takeNonce(statement.body.roomNonce, now())) return doorRefusal("bad-request");`,
        replace: NOTHING,
      },
      { file: "core/trust/judge.ts", find: `if (!input.takeNonce(body.connectorNonce)) return no("bad-nonce");`, replace: NOTHING },
    ],
  },
  {
    name: "a cut is forgotten after a wake",
    edits: [
      {
        file: "worker/room/context.ts",
        find: `const isStopped = row.state === "cut" || row.suspendedAtMs !== undefined;`,
        replace: `const isStopped = false;`,
      },
      {
        file: "worker/room/context.ts",
        find: `    // Read again when it is asked for: a transaction that fails takes the row back.\n    this.#stopped.delete(row.id);`,
        replace: `    this.#stopped.set(row.id, row.state === "cut");`,
      },
      {
        file: "worker/room/context.ts",
        find: `    this.storage.delete("owed", \`grant-\${row.grant}\`);\n    this.storage.deleteSessionsOf(row.id);`,
        replace: `    this.storage.delete("owed", \`grant-\${row.grant}\`);`,
      },
    ],
  },
  plant(
    "credit is granted twice",
    "core/link/stream-credit.ts",
    `    this.#open += grant;\n    return grant;`,
    `    this.#open += grant;\n    return 2 * grant;`,
  ),
  plant(
    "the gateway's close overtakes its messages",
    "connector/streams/send-queue.ts",
    `    if (this.#queue.length > 0) return this.tick();\n`,
    NOTHING,
  ),
  plant(
    "a message overtakes those that wait",
    "worker/room/relay/ws-stream.ts",
    `if (this.#queue.length === 0 && this.#upstream.spend(`,
    `if (this.#upstream.spend(`,
  ),
  plant(
    "what is owed is not sent again",
    "worker/room/pending-commands.ts",
    `  for (const message of admission.storage.owed()) admission.background("owed", send(admission, message));\n`,
    NOTHING,
  ),
  plant("half a message is forgotten in sleep", "worker/room/relay/ws-stream.ts", `    this.#attachment = { ...this.#attachment, holding };\n    this.ws.serializeAttachment(this.#attachment);`, `    this.#attachment = { ...this.#attachment, holding };`), // prettier-ignore
  plant(
    "stream ids begin anew after a wake",
    "worker/room/link/link.ts",
    `      this.#note(link, { nextBlock: this.#block + 1 });\n`,
    NOTHING,
  ),
  plant(
    "frames cross after the session's end",
    "worker/room/relay/relay.ts",
    `if (stream.attachment.expiresAtMs <= this.nowMs()) {`,
    `if (stream.attachment.expiresAtMs <= 0) {`,
  ),
  plant("the connector takes the room's word for a session", "connector/trust/admissions.ts", `if (session === undefined || session.device !== open.device || session.expiresAtMs <= nowMs) return "no-session";`, `if (session === undefined) return { access: "full", expiresAtMs: nowMs + 60_000 };`), // prettier-ignore
  plant(
    "the room gives more credit than it has room",
    "worker/room/relay/ws-stream.ts",
    `if (unsentBytes > BROWSER_BUFFER_HIGH_BYTES) return false;`,
    NOTHING,
  ),
  plant(
    "a failed write to D1 is taken as done",
    "worker/room/outbound/outbox.ts",
    `          this.#failures += 1;\n`,
    `          this.#failures += 1;\n          storage.outboxDone(seq);\n`,
  ),
  plant(
    "an alarm that was set is pushed back",
    "worker/room/storage/alarm-clock.ts",
    `this.#isOff || (this.#atMs !== null && this.#atMs <= atMs)`,
    `this.#isOff`,
  ),
  plant("an entry of the key log is not synced", "connector/trust/key-log-file.ts", `      fsyncSync(handle);\n    } catch (error) {\n      ftruncateSync(handle, size);`, `    } catch (error) {\n      ftruncateSync(handle, size);`), // prettier-ignore
  plant(
    "the generation is said before it is on disk",
    "connector/link/link-disk.ts",
    `      files.write("gateway", generation === null ? file : { ...file, generation });\n`,
    NOTHING,
  ),
  plant(
    "an entry whose acknowledgement was lost is an alarm",
    "core/trust/key-log.ts",
    `if (relation === "ahead") return {`,
    `if (relation === "ahead" || (room !== null && acknowledged !== null && room.seq > acknowledged.seq)) return {`,
  ),
  plant(
    "what has left of a large message is still allowed for",
    "core/link/waiting-bytes.ts",
    `to - Math.max(from, this.#leftBytes)`,
    `to - from`,
  ),
  // Really there once.
  plant("a device that sends too much is told that the gateway is slow", "worker/room/relay/ws-stream.ts", `if (this.#upstream.isStill(this.#host.nowMs())) this.#gatewayTooSlow();`, `if (this.#waiting.bytes > 0) this.#gatewayTooSlow();`), // prettier-ignore
  plant("a large message may not wait behind another", "core/link/waiting-bytes.ts", `this.#bytes - Math.max(0, ...largest)`, `this.#bytes + 0 * largest.length`), // prettier-ignore
  plant(
    "an upload goes on after its session's end",
    "worker/room/relay/http-exchange.ts",
    `if (this.session.expiresAtMs > this.#host.nowMs()) return true;`,
    `if (this.session.expiresAtMs > 0) return true;`,
  ),
  plant("a close that wakes the room is not passed on", "worker/room/relay/relay.ts", `if (stream !== undefined || attachment.link === undefined || attachment.link !== this.#link.generation) return;`, `return;`), // prettier-ignore
  plant("a close that wakes the room hides that messages were lost", "worker/room/relay/relay.ts", `if (attachment.holding) this.#resetFrame(attachment.stream, CLOSE_GATEWAY_GONE, "relay restarted");\n    else this`, `this`), // prettier-ignore
  plant("what a browser left behind is forgotten in sleep", "worker/room/relay/relay.ts", `if (frame.type === FRAME_DATA || frame.type === FRAME_CREDIT) this.#resetFrame(`, `if (frame.type === FRAME_DATA) this.#resetFrame(`), // prettier-ignore
  plant("a close goes to another link's stream", "worker/room/relay/relay.ts", `if (stream !== undefined || attachment.link === undefined || attachment.link !== this.#link.generation) return;`, `if (stream !== undefined) return;`), // prettier-ignore
  plant("a command that fails is not answered", "connector/link/commands.ts", `.then(() => this.#command(message)).catch(failed);`, `.then(() => this.#command(message)).catch(() => undefined);`), // prettier-ignore
  plant("what the disk refused is applied from memory later", "connector/link/commands.ts", `this.#askAgain(isCurrent);`, `setTimeout(() => isCurrent() && this.take(message, isCurrent), ASK_AGAIN_MS);`), // prettier-ignore
  plant("a receipt goes out with what is kept beside it", "connector/trust/cuts.ts", `receipt: signedOf(done) };`, `receipt: done };`),
  plant("an old sign of life counts after the machine stood still", "connector/link/link.ts", `    await new Promise((resolve) => setImmediate(resolve));\n`, NOTHING), // prettier-ignore
  plant("a full disk ends the connector", "connector/streams/ws-stream.ts", `      try {\n        const first = watch.firstFromBrowser(text);\n        if (first !== text) data = first;\n      } catch {\n        return this.#unkept();\n      }`, `      data = watch.firstFromBrowser(text);`), // prettier-ignore
  badLine("a frame of data is lost", `type === FRAME_DATA && Math.random() < 0.02) return void all.pop()`),
  badLine(
    "a frame of data comes twice",
    `type === FRAME_DATA && this.isBatching && Math.random() < 0.02) this.#bytes += 0 * all.push(all.at(-1)!) + bytes`,
  ),
  badLine("two frames of data change places", `all.length > 1 && Math.random() < 0.2 && [-1, -2].every((i) => all.at(i)!.type === FRAME_DATA)) all.splice(-2, 2, all.at(-1)!, all.at(-2)!)`), // prettier-ignore
  badLine("a frame of data is cut short", `type === FRAME_DATA && payloadBytes > 0 && Math.random() < 0.02) this.#bytes -= 1 + 0 * all.push({ ...all.pop()!, payload: payload!.subarray(1) })`), // prettier-ignore
  badLine("granted credit is lost", `type === FRAME_CREDIT && Math.random() < 0.2) return void all.pop()`),
  plant("where frames stand is forgotten in sleep", "worker/room/relay/ws-stream.ts", `    this.#attachment = { ...this.#attachment, order };\n    this.ws.serializeAttachment(this.#attachment);`, `    this.#attachment = { ...this.#attachment, order };`), // prettier-ignore
  plant(
    "a count that begins anew does not say so",
    "core/link/frame-order.ts",
    `return this.#isAnew ? FLAG_ANEW : 0;`,
    `return 0 * FLAG_ANEW;`,
  ),
  plant("where frames stand is not kept, and nobody notes so", "worker/room/relay/ws-stream.ts", `const isKept = this.#ordersToKeep > 0;`, `const isKept = true;`), // prettier-ignore
  {
    // Storage is what tells an old instance that it is not the object any more.
    name: "a stream is opened without a look at storage",
    edits: [
      {
        file: "worker/room/context.ts",
        find: `    const row = this.storage.get<SessionRow>("sessions", session);\n    if (row`,
        replace: `    const memory = this as unknown as { seen?: Map<string, SessionRow> };
    const row = (memory.seen ??= new Map()).get(session) ?? this.storage.get<SessionRow>("sessions", session);
    if (row !== null) memory.seen.set(session, row);
    if (row`,
      },
      {
        file: "worker/room/context.ts",
        find: `gatewayAway(this.state(), `,
        replace: `gatewayAway(this.#link.report?.state ?? "no-link", `,
      },
    ],
  },
];

/** What the first thing that a checker finds must say, where the name is what counts. */
export const SAID_OF: Readonly<Record<string, string>> = {
  "a frame of data is lost": BYTES_MISSING,
  "a frame of data comes twice": BYTES_TWICE,
  "two frames of data change places": BYTES_MISSING,
  "a frame of data is cut short": BYTES_MISSING,
  "granted credit is lost": BYTES_MISSING,
};

/** A seed that showed the rarer ones, tried first. */
export const SHOWN_BY: Readonly<Record<string, number>> = {
  "half a message is forgotten in sleep": 485,
  "the connector takes the room's word for a session": 538,
  "the room gives more credit than it has room": 582,
  "an entry of the key log is not synced": 16,
  "a close that wakes the room is not passed on": 13,
  "what a browser left behind is forgotten in sleep": 872,
  "a command that fails is not answered": 316,
  "a full disk ends the connector": 9,
  "a stream is opened without a look at storage": 620,
};

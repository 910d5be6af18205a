/** Streams from both of their ends: what was sent, what came, how it ended. The prefix checker compares on the fly (PROTOCOL.md ST6). */
import type { Data, Endpoint } from "./network.ts";
import { sizeOf, weighed } from "./network.ts";
import { sim } from "./sim.ts";

/** One message as it is sent: told apart by stream, direction and place. */
export interface Sent {
  readonly bytes: number;
  readonly isText: boolean;
}

export type Direction = "up" | "down";

const TEXT = "aé✓z";
const TEXT_BYTES = Buffer.byteLength(TEXT);

/** The same message for the same place, always. */
export function content(visit: number, direction: Direction, place: number, { bytes, isText }: Sent): Data {
  const head = `${visit}/${direction}/${place};`;
  if (isText) {
    const text = head.padEnd(bytes, TEXT);
    const padded = Math.max(0, bytes - head.length);
    weighed(
      text,
      text.length - padded + Math.floor(padded / TEXT.length) * TEXT_BYTES + Buffer.byteLength(TEXT.slice(0, padded % TEXT.length)),
    );
    return text;
  }
  const out = new Uint8Array(Math.max(bytes, head.length)).fill(place & 0xff);
  for (let i = 0; i < head.length; i += 1) out[i] = head.charCodeAt(i);
  return out;
}

function isSame(a: Data, b: Data): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return Buffer.compare(a, b) === 0;
}

export interface Ended {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  readonly atMs: number;
}

/** One direction of one stream. */
class Lane {
  readonly sent: Sent[] = [];
  received = 0;
  receivedBytes = 0;
  isFinished = false;
  readonly #visit: WsVisit;
  readonly #direction: Direction;
  /** What is on its way. */
  readonly #texts = new Map<number, string>();

  constructor(visit: WsVisit, direction: Direction) {
    this.#visit = visit;
    this.#direction = direction;
  }

  next(what: Sent): Data {
    this.sent.push(what);
    const data = content(this.#visit.number, this.#direction, this.sent.length - 1, what);
    // Nobody can change a text; bytes are made anew to be compared, for their buffer was in others' hands.
    if (typeof data === "string") this.#texts.set(this.sent.length - 1, data);
    return data;
  }

  take(data: Data, isOver: boolean): void {
    const where = `stream ${this.#visit.number} ${this.#direction} message ${this.received}`;
    if (isOver) return sim.fail("ST6", `${where} arrived after the close`);
    const expected = this.sent[this.received];
    if (expected === undefined) return sim.fail("ST6", `${where} was never sent`);
    const text = this.#texts.get(this.received);
    this.#texts.delete(this.received);
    if (!isSame(data, text ?? content(this.#visit.number, this.#direction, this.received, expected)))
      return sim.fail(
        "ST6",
        `${where} is not what was sent (${sizeOf(data)} of ${expected.bytes} bytes; ${Buffer.from(data as string)
          .toString("latin1")
          .slice(0, 16)})`,
      );
    this.received += 1;
    this.receivedBytes += sizeOf(data);
  }

  get isWhole(): boolean {
    return this.received === this.sent.length;
  }
}

/** A close that only a whole lane may bring: sent by an end as its last word. */
export const LAST_WORD = { up: 4321, down: 4123 } as const;

export class WsVisit {
  readonly number: number;
  readonly device: string;
  readonly session: string;
  readonly up = new Lane(this, "up");
  readonly down = new Lane(this, "down");
  browser: Endpoint | null = null;
  gateway: Endpoint | null = null;
  browserEnd: Ended | null = null;
  gatewayEnd: Ended | null = null;
  /** The answer to the upgrade when it was not 101, or `lost`. */
  refused: number | "lost" | null = null;
  /** The browser's own connection was broken on purpose: it may end without a word. */
  isLegBroken = false;
  onBrowserEnd: () => void = () => undefined;
  onDown: () => void = () => undefined;

  constructor(number: number, device: string, session: string) {
    this.number = number;
    this.device = device;
    this.session = session;
  }

  get isOpen(): boolean {
    return this.browser !== null && this.browserEnd === null;
  }

  attachBrowser(endpoint: Endpoint): void {
    this.browser = endpoint;
    endpoint.owner = sim.scheduler.world;
    endpoint.events = {
      message: (data) => {
        this.down.take(data, this.browserEnd !== null);
        this.onDown();
      },
      closed: (code, reason, wasClean) => {
        this.browserEnd = { code, reason, wasClean, atMs: sim.scheduler.nowMs };
        sim.trace(`v${this.number} browser sees close ${code} ${reason}`);
        if (code === LAST_WORD.down && !this.down.isWhole)
          sim.fail("ST5", `stream ${this.number}: the gateway's close overtook ${this.down.sent.length - this.down.received} messages`);
        // A frozen browser that closes does not hear the answer in time: it gives up by itself, and nothing was promised about that.
        const hasGivenUp = endpoint.hasBegunClose && endpoint.isFrozen;
        if (!wasClean && !this.isLegBroken && !hasGivenUp) sim.fail("ST6", `stream ${this.number} ended at the browser without a close`);
        if (code === 4502 && reason === "") sim.fail("ST6", `stream ${this.number} ended at the browser without a reason`);
        this.onBrowserEnd();
      },
    };
    // Lost while the answer to the upgrade was on its way: whoever takes the socket hears of it.
    if (endpoint.state === "closed") sim.scheduler.after(0, () => endpoint.events.closed(1006, "", false), endpoint.owner);
    endpoint.resume();
  }

  attachGateway(endpoint: Endpoint): void {
    if (this.gateway !== null) sim.fail("ST6", `stream ${this.number} was opened twice at the gateway`);
    this.gateway = endpoint;
    endpoint.owner = sim.scheduler.world;
    endpoint.events = {
      message: (data) => this.up.take(data, this.gatewayEnd !== null),
      closed: (code, reason, wasClean) => {
        this.gatewayEnd = { code, reason, wasClean, atMs: sim.scheduler.nowMs };
        sim.trace(`v${this.number} gateway sees close ${code} ${reason}`);
        if (code === LAST_WORD.up && !this.up.isWhole)
          sim.fail("ST5", `stream ${this.number}: the browser's close overtook ${this.up.sent.length - this.up.received} messages`);
      },
    };
  }

  sendUp(what: Sent): void {
    if (this.isOpen && this.browser?.state === "open") this.browser.send(this.up.next(what));
  }

  sendDown(what: Sent): void {
    if (this.gateway?.state === "open" && this.gatewayEnd === null) this.gateway.send(this.down.next(what));
  }

  closeByBrowser(): void {
    // A page that reads nothing any more never sees the answer to its close.
    this.isLegBroken = true;
    this.browser?.close(LAST_WORD.up, "the page is done");
  }

  closeByGateway(): void {
    this.gateway?.close(LAST_WORD.down, "the gateway is done");
  }
}

const PATTERN_BYTES = 251 * 64;
const PATTERN = Uint8Array.from({ length: PATTERN_BYTES }, (_, i) => i % 251);

/** One direction of an HTTP body: a known run of bytes, of which the other end must see a beginning. */
export class BodyLane {
  readonly name: string;
  sentBytes = 0;
  receivedBytes = 0;
  isEnded = false;
  hasEndArrived = false;

  constructor(name: string) {
    this.name = name;
  }

  next(bytes: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(bytes);
    const from = this.sentBytes % PATTERN_BYTES;
    for (let done = 0; done < bytes;) {
      const part = PATTERN.subarray(done === 0 ? from : 0).subarray(0, bytes - done);
      out.set(part, done);
      done += part.byteLength;
    }
    this.sentBytes += bytes;
    return out;
  }

  take(part: Uint8Array): void {
    if (this.hasEndArrived) return sim.fail("ST4", `${this.name}: bytes after the end`);
    for (let i = 0; i < part.byteLength; i += 97) {
      if (part[i] !== (this.receivedBytes + i) % 251)
        return sim.fail("ST4", `${this.name}: byte ${this.receivedBytes + i} is not what was sent`);
    }
    this.receivedBytes += part.byteLength;
    if (this.receivedBytes > this.sentBytes) sim.fail("ST4", `${this.name}: more bytes than were sent`);
  }

  end(): void {
    this.hasEndArrived = true;
    if (!this.isEnded || this.receivedBytes !== this.sentBytes)
      sim.fail("ST4", `${this.name}: an end after ${this.receivedBytes} of ${this.sentBytes} bytes`);
  }
}

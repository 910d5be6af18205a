/** One HTTP exchange from both of its ends: the visitor's upload and download, the gateway's reading and answering. */
import { Body, SimRequest } from "./http-bodies.ts";
import type { SimResponse } from "./http-bodies.ts";
import { Answer } from "./gateway.ts";
import type { GatewayRequest } from "./route.ts";
import type { Actor } from "./scheduler.ts";
import { sim } from "./sim.ts";
import { BodyLane } from "./visits.ts";

export interface HttpScript {
  readonly uploadBytes: readonly number[];
  readonly downloadBytes: readonly number[];
  readonly gapMs: number;
  readonly hasLength: boolean;
  /** `early`: the answer comes before the upload's end; `broken`: the gateway breaks off; `leave`: the visitor goes away. */
  readonly how: "plain" | "early" | "broken" | "leave";
}

export class HttpVisit {
  readonly number: number;
  readonly device: string;
  readonly session: string;
  readonly script: HttpScript;
  readonly request = new BodyLane("request body");
  readonly answer = new BodyLane("answer body");
  status: number | "lost" | null = null;
  isOver = false;
  #answer: Answer | null = null;
  #actor: Actor | null = null;
  #events: { answer(a: Answer): void; lost(): void } | null = null;
  #isGone = false;
  #answerQueue: (() => void)[] = [];

  constructor(number: number, device: string, session: string, script: HttpScript) {
    this.number = number;
    this.device = device;
    this.session = session;
    this.script = script;
  }

  // --- the visitor -------------------------------------------------------------------------------------------------------------

  /** Sends the request; the upload goes on while the answer comes. */
  toRequest(origin: string, headers: Readonly<Record<string, string>>): SimRequest {
    const { uploadBytes, hasLength, gapMs, how } = this.script;
    const { scheduler } = sim;
    if (uploadBytes.length === 0) return new SimRequest(`${origin}/v/${this.number}`, { headers: { ...headers } });
    const body = new Body();
    uploadBytes.forEach((bytes, i) => {
      scheduler.after(1 + gapMs * i, () => body.put(this.request.next(bytes)), scheduler.world);
    });
    scheduler.after(
      2 + gapMs * uploadBytes.length,
      () => {
        if (how === "leave") return body.break();
        this.request.isEnded = true;
        body.end();
      },
      scheduler.world,
    );
    const total = uploadBytes.reduce((sum, bytes) => sum + bytes, 0);
    // Where the stock page writes: another path with a body ends at the connector.
    return new SimRequest(`${origin}/api/channels/nostr/${this.number}/profile`, {
      method: "PUT",
      headers: { ...headers, ...(hasLength ? { "content-length": String(total) } : {}) },
      body,
    });
  }

  /** Reads the answer to its end. @param paceMs time between two parts */
  async read(response: SimResponse | null, paceMs: number): Promise<void> {
    this.status = response?.status ?? "lost";
    sim.trace(`h${this.number} answer ${this.status}`);
    const { scheduler } = sim;
    if (response !== null && response.body !== null && typeof response.body !== "string") {
      const { body } = response;
      for (;;) {
        const part = await body.take();
        if (part === "broken") break;
        if (part === "end") {
          this.answer.end();
          break;
        }
        this.answer.take(part);
        if (this.script.how === "leave" && this.answer.receivedBytes > 10_000) {
          body.cancel();
          break;
        }
        if (paceMs > 0) await new Promise<void>((resolve) => scheduler.after(paceMs, resolve, scheduler.world));
      }
    }
    this.isOver = true;
    sim.trace(`h${this.number} over ${this.answer.receivedBytes}`);
  }

  // --- the gateway -------------------------------------------------------------------------------------------------------------

  atGateway(
    head: { headers: Readonly<Record<string, string | string[]>> },
    events: { answer(a: Answer): void; lost(): void },
    actor: Actor,
    done: () => void,
  ): GatewayRequest {
    this.#events = events;
    this.#actor = actor;
    const length = head.headers["content-length"];
    const isUpload = head.headers["transfer-encoding"] !== undefined || length !== undefined;
    const answerNow = (): void => {
      if (this.#answer === null && !this.#isGone) this.#answerBody();
    };
    if (!isUpload || this.script.how === "early") sim.scheduler.after(5, answerNow, sim.scheduler.world);
    return {
      body: (part) => this.request.take(part),
      end: () => {
        if (isUpload) this.request.end();
        answerNow();
      },
      gone: () => {
        this.#isGone = true;
        done();
      },
    };
  }

  breakAtGateway(): void {
    if (this.#isGone || this.#actor === null) return;
    this.#isGone = true;
    const { scheduler } = sim;
    if (this.#answer === null) scheduler.after(0, () => this.#events?.lost(), this.#actor);
    else {
      const answer = this.#answer;
      scheduler.after(0, () => answer.emit("aborted"), this.#actor);
    }
  }

  #answerBody(): void {
    const { downloadBytes, hasLength, gapMs, how } = this.script;
    const total = downloadBytes.reduce((sum, bytes) => sum + bytes, 0);
    const answer = new Answer(200, hasLength ? ["content-length", String(total)] : []);
    this.#answer = answer;
    const { scheduler } = sim;
    const actor = this.#actor as Actor;
    const emit = (work: () => void): void => {
      this.#answerQueue.push(work);
      drain();
    };
    const drain = (): void => {
      while (!answer.isPaused && !answer.isDestroyed && this.#answerQueue.length > 0) this.#answerQueue.shift()?.();
    };
    answer.onResume = () => void scheduler.after(0, drain, actor);
    scheduler.after(1, () => this.#events?.answer(answer), actor);
    downloadBytes.forEach((bytes, i) => {
      scheduler.after(
        2 + gapMs * i,
        () => {
          if (this.#isGone) return;
          emit(() => {
            const part = this.answer.next(bytes);
            answer.emit("data", Buffer.from(part.buffer, part.byteOffset, part.byteLength));
          });
        },
        actor,
      );
    });
    scheduler.after(
      3 + gapMs * downloadBytes.length,
      () => {
        if (this.#isGone) return;
        if (how === "broken") return this.breakAtGateway();
        emit(() => {
          this.answer.isEnded = true;
          answer.emit("end");
        });
      },
      actor,
    );
  }
}

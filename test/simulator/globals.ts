/**
 * What the code under test takes for its platform's globals; `build.ts` puts these in the place of the real ones, in the bundle only. Time, timers
 * and randomness are the run's own; what workerd has and Node has not is here.
 */
import nodeCrypto from "node:crypto";
import { WorkerSocket, WorkerSocketPair } from "./worker-socket.ts";
import { IdentityTransform, SimResponse } from "./http-bodies.ts";
import { wasSigned } from "./signatures.ts";
import { sim } from "./sim.ts";
import type { Timer } from "./scheduler.ts";

const RealDate = globalThis.Date;

class SimDate extends RealDate {
  constructor(...args: [] | [number]) {
    super(args.length === 0 ? SimDate.now() : args[0]);
  }

  static override now(): number {
    return sim.scheduler.nowMs + sim.scheduler.actor.skewMs;
  }
}

export function simRandom(): number {
  return sim.entropy.fraction();
}

function setTimer(run: () => void, ms = 0): Timer {
  return sim.scheduler.after(ms, run);
}

function setRepeating(run: () => void, ms: number): Timer {
  const { scheduler } = sim;
  const { actor } = scheduler;
  let timer: Timer = scheduler.after(ms, beat, actor);
  function beat(): void {
    if (handle.isGone) return;
    timer = scheduler.after(ms, beat, actor);
    run();
  }
  const handle = {
    get isGone() {
      return timer.isGone;
    },
    set isGone(gone: boolean) {
      timer.isGone = gone;
    },
    unref() {},
    ref() {},
  };
  return handle;
}

function clear(timer: Timer | undefined): void {
  if (timer !== undefined) timer.isGone = true;
}

const performanceNow = { now: () => sim.scheduler.nowMs };

// --- crypto: the real algorithms, made synchronous inside and slow outside by virtual time ------------------------------------

interface SimKey {
  readonly kind: "verify" | "hkdf" | "hmac";
  /** Of a key that verifies: its public key as it was given. */
  readonly x?: string;
  readonly key: nodeCrypto.KeyObject | Buffer;
  readonly algorithm: string;
}

/** How long an operation takes: mostly no time, sometimes long enough for other events to come between. */
function slowly<T>(work: () => T): Promise<T> {
  if (!isCryptoSlow.on || !sim.timing.chance(0.3)) return new Promise((resolve) => resolve(work()));
  return sim.scheduler.io(sim.timing.int(0, 3), work);
}

/** Off while keys are derived that outlive a run. */
export const isCryptoSlow = { on: false };

const bytesOf = (data: ArrayBuffer | Uint8Array): Uint8Array => (data instanceof Uint8Array ? data : new Uint8Array(data));

const imported = new Map<string, nodeCrypto.KeyObject>();
function publicKey(jwk: nodeCrypto.JsonWebKey): nodeCrypto.KeyObject {
  const text = JSON.stringify([jwk.kty, jwk.crv, jwk.x, jwk.y]);
  let key = imported.get(text);
  if (key === undefined) {
    key = nodeCrypto.createPublicKey({ key: jwk, format: "jwk" });
    imported.set(text, key);
  }
  return key;
}

const subtle = {
  digest: (_name: string, data: Uint8Array) => slowly(() => new Uint8Array(nodeCrypto.hash("sha256", bytesOf(data), "buffer")).buffer),
  importKey: (format: string, data: nodeCrypto.JsonWebKey | Uint8Array, algorithm: string | { name: string }): Promise<SimKey> =>
    new Promise((resolve) => {
      const name = typeof algorithm === "string" ? algorithm : algorithm.name;
      if (format === "jwk") {
        const jwk = data as nodeCrypto.JsonWebKey;
        resolve({ kind: "verify", x: jwk.x ?? "", key: publicKey(jwk), algorithm: name });
      } else resolve({ kind: "hkdf", key: Buffer.from(data as Uint8Array), algorithm: name });
    }),
  deriveBits: (parameters: { info: Uint8Array }, root: SimKey, bits: number) =>
    new Promise((resolve) => resolve(nodeCrypto.hkdfSync("sha256", root.key, Buffer.alloc(0), parameters.info, bits / 8))),
  deriveKey: (parameters: { info: Uint8Array }, root: SimKey): Promise<SimKey> =>
    new Promise((resolve) => {
      const key = nodeCrypto.createSecretKey(Buffer.from(nodeCrypto.hkdfSync("sha256", root.key, Buffer.alloc(0), parameters.info, 32)));
      resolve({ kind: "hmac", key, algorithm: "HMAC" });
    }),
  sign: (_algorithm: string, key: SimKey, data: Uint8Array) =>
    slowly(() => new Uint8Array(nodeCrypto.createHmac("sha256", key.key).update(data).digest()).buffer),
  verify: (_algorithm: object, key: SimKey, signature: Uint8Array, data: Uint8Array) =>
    slowly(() => wasSigned(key.x ?? "", data, signature) || nodeCrypto.verify(null, data, key.key, signature)),
  timingSafeEqual: (a: Uint8Array, b: Uint8Array) => nodeCrypto.timingSafeEqual(bytesOf(a), bytesOf(b)),
};

const simCrypto = {
  subtle,
  getRandomValues: <T extends Uint8Array>(into: T): T => {
    into.set(sim.entropy.bytes(into.byteLength));
    return into;
  },
};

class RequestResponsePair {
  readonly request: string;
  readonly response: string;

  constructor(request: string, response: string) {
    this.request = request;
    this.response = response;
  }
}

export {
  SimDate as Date,
  setTimer as setTimeout,
  setRepeating as setInterval,
  setTimer as setImmediate,
  clear as clearTimeout,
  clear as clearInterval,
  performanceNow as performance,
  simCrypto as crypto,
  WorkerSocket as WebSocket,
  WorkerSocketPair as WebSocketPair,
  RequestResponsePair as WebSocketRequestResponsePair,
  SimResponse as Response,
  IdentityTransform as IdentityTransformStream,
  IdentityTransform as FixedLengthStream,
};

/** A key log in memory, written by a connector key of its own. Entries that do not belong throw, so that a test sees why. */
import { applyLine, rotationBytes, writeLine } from "../../src/core/key-log.ts";
import type { KeyLogProblem, KeyLogState } from "../../src/core/key-log.ts";
import type { KeyLogBody } from "../../src/protocol/key-log.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey, OwnerKey } from "../../src/protocol/statements.ts";

export interface LogKey {
  readonly key: ConnectorKey;
  readonly sign: (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;
}

export async function newLogKey(): Promise<LogKey> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("a key pair was asked for");
  const { x = "" } = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as { x?: string };
  return {
    key: { kty: "OKP", crv: "Ed25519", x },
    sign: async (bytes) => toBase64url(new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes))),
  };
}

export class TestKeyLog {
  readonly gateway: string;
  readonly lines: string[] = [];
  signer: LogKey;
  #state: KeyLogState | null = null;

  constructor(gateway: string, signer: LogKey) {
    this.gateway = gateway;
    this.signer = signer;
  }

  static async start(options: {
    readonly gateway: string;
    readonly ownerKeys: readonly OwnerKey[];
    readonly approveOrigin: string;
    readonly atMs: number;
    readonly signer?: LogKey;
    readonly account?: string;
  }): Promise<TestKeyLog> {
    const { gateway, ownerKeys, approveOrigin, atMs } = options;
    const log = new TestKeyLog(gateway, options.signer ?? (await newLogKey()));
    await log.add(
      {
        type: "genesis",
        account: options.account ?? "a".repeat(26),
        origin: "http://gw.localhost:8787",
        approveOrigin,
        rpId: new URL(approveOrigin).hostname,
        connectorKey: log.signer.key,
        ownerKeys: [...ownerKeys],
      },
      atMs,
    );
    return log;
  }

  get state(): KeyLogState {
    if (this.#state === null) throw new Error("no genesis");
    return this.#state;
  }

  /** Writes the entry whoever signs, judges it, and keeps it only when it belongs. */
  async attempt(body: KeyLogBody, atMs: number, signer: LogKey = this.signer): Promise<KeyLogProblem | null> {
    const line = await writeLine(this.#state, { gateway: this.gateway, atMs, body }, (bytes) => signer.sign(bytes));
    const next = await applyLine(this.#state, line);
    if (typeof next === "string") return next;
    this.#state = next;
    this.lines.push(line);
    return null;
  }

  async add(body: KeyLogBody, atMs: number): Promise<void> {
    const problem = await this.attempt(body, atMs);
    if (problem !== null) throw new Error(problem);
  }

  async rotate(to: LogKey, atMs: number): Promise<KeyLogProblem | null> {
    const problem = await this.attempt({ type: "rotate", key: to.key, proof: await to.sign(rotationBytes(this.gateway, to.key)) }, atMs);
    if (problem === null) this.signer = to;
    return problem;
  }
}

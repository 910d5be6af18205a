/** A key log in memory, written by a connector key of its own. Entries that do not belong throw, so that a test sees why. */
import { applyLine, rotationBytes, writeLine } from "../../src/core/trust/key-log.ts";
import type { KeyLogProblem, KeyLogState } from "../../src/core/trust/key-log-state.ts";
import type { KeyLogBody, ProposedChange } from "../../src/protocol/key-log.ts";
import { WIDENING_KEYS, encodeBody, toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey, SignedByOwner } from "../../src/protocol/statements.ts";
import type { Authenticator } from "./fake-authenticator.ts";
import { signedGenesis } from "./genesis.ts";

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

/** An owner's signature over a proposal. */
export function signWidening(
  owner: Authenticator,
  gateway: string,
  proposal: string,
  change: ProposedChange,
  issuedAtMs: number,
): Promise<SignedByOwner> {
  return owner.sign("widening", encodeBody({ v: 1, gateway, proposal, change, issuedAtMs }, WIDENING_KEYS));
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

  /** Begins with a genesis that `owner` signs. */
  static async start(options: {
    readonly gateway: string;
    readonly owner: Authenticator;
    readonly approveOrigin: string;
    readonly atMs: number;
    readonly signer?: LogKey;
    readonly account?: string;
    /** A genesis that is signed already: a passkey never signs twice alike. */
    readonly signed?: SignedByOwner;
  }): Promise<TestKeyLog> {
    const { gateway, owner, approveOrigin, atMs, account = "a".repeat(26) } = options;
    const log = new TestKeyLog(gateway, options.signer ?? (await newLogKey()));
    const input = { gateway, account, connectorKey: log.signer.key, approveOrigin, gatewayOrigin: "http://gw.localhost:8787", atMs };
    await log.add({ type: "genesis", signed: options.signed ?? (await signedGenesis(owner, input)) }, atMs);
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

  /** The machine asks for a widening. @returns the proposal's id */
  async propose(change: ProposedChange, atMs: number): Promise<string> {
    await this.add({ type: "proposal", change }, atMs);
    return this.state.head.hash;
  }

  /** A widening in force: proposed, and signed by an owner. */
  async widen(change: ProposedChange, owner: Authenticator, atMs: number): Promise<void> {
    const proposal = await this.propose(change, atMs);
    await this.add({ type: "effect", proposal, signed: await signWidening(owner, this.gateway, proposal, change, atMs) }, atMs);
  }

  async rotate(to: LogKey, atMs: number): Promise<KeyLogProblem | null> {
    const problem = await this.attempt({ type: "rotate", key: to.key, proof: await to.sign(rotationBytes(this.gateway, to.key)) }, atMs);
    if (problem === null) this.signer = to;
    return problem;
  }
}

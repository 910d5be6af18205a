/** The Durable Object of one enrolment ceremony: keeps its state, forwards to the pure machine, and deletes itself when its time is over. */
import { DurableObject } from "cloudflare:workers";
import { ceremonySchema, stepCeremony } from "../../core/trust/ceremony.ts";
import type { Ceremony, CeremonyEvent } from "../../core/trust/ceremony.ts";
import type { GenesisDraft, SignedByOwner } from "../../protocol/statements.ts";
import { isSameText } from "../auth/session-cookie.ts";
import type { Env } from "../env.ts";
import { failureReport } from "../failures.ts";
import type { CeremonyResult, EnrolmentRpc } from "./rpc.ts";

const DOCUMENT = "ceremony";
/** The page still reads how it ended, and the connector may ask again for a lost answer. */
const KEPT_AFTER_MS = 10 * 60_000;

type OpenInput = Parameters<EnrolmentRpc["open"]>[0];

export class Enrolment extends DurableObject<Env> implements EnrolmentRpc {
  open(input: OpenInput): Promise<CeremonyResult> {
    if (this.#stored() !== null) return Promise.resolve(refused("conflict", null));
    const ceremony: Ceremony = {
      ...input,
      state: "open",
      wrongCodes: 0,
      pageNonce: null,
      draft: null,
      connectorNonce: null,
      signed: null,
      mac: null,
    };
    this.ctx.storage.kv.put(DOCUMENT, JSON.stringify(ceremony));
    return this.ctx.storage.setAlarm(input.expiresAtMs + KEPT_AFTER_MS).then(() => ({ ok: true, value: ceremony }));
  }

  read(): Promise<CeremonyResult> {
    const ceremony = this.#stored();
    return Promise.resolve(ceremony === null ? refused("not-found", null) : { ok: true, value: ceremony });
  }

  redeem({ codeMacs, machine }: Parameters<EnrolmentRpc["redeem"]>[0]): Promise<CeremonyResult> {
    const ceremony = this.#stored();
    const isCodeRight = typeof ceremony?.codeMac === "string" && isAny(codeMacs, ceremony.codeMac);
    return this.#step({ type: "redeem", isCodeRight, machine });
  }

  claim(owner: Parameters<EnrolmentRpc["claim"]>[0]): Promise<CeremonyResult> {
    return this.#step({ type: "claim", owner });
  }

  propose(input: { account: string; pageNonce: string; draft: GenesisDraft }): Promise<CeremonyResult> {
    return this.#step({ type: "propose", ...input });
  }

  sign(input: { account: string; signed: SignedByOwner; mac: string | null }): Promise<CeremonyResult> {
    return this.#step({ type: "sign", ...input });
  }

  byTicket({ ticketMacs }: { ticketMacs: readonly string[] }): Promise<CeremonyResult> {
    const ceremony = this.#stored();
    const isRight = typeof ceremony?.ticketMac === "string" && isAny(ticketMacs, ceremony.ticketMac);
    return Promise.resolve(ceremony !== null && isRight ? { ok: true, value: ceremony } : refused("not-found", null));
  }

  reveal({ ticketMacs, connectorNonce }: { ticketMacs: readonly string[]; connectorNonce: string }): Promise<CeremonyResult> {
    return this.#stepByTicket(ticketMacs, { type: "reveal", connectorNonce });
  }

  confirm({ ticketMacs }: { ticketMacs: readonly string[] }): Promise<CeremonyResult> {
    return this.#stepByTicket(ticketMacs, { type: "confirm" });
  }

  refuse({ ticketMacs }: { ticketMacs: readonly string[] }): Promise<CeremonyResult> {
    return this.#stepByTicket(ticketMacs, { type: "refuse" });
  }

  async end(): Promise<void> {
    if (this.#stored() !== null) await this.#step({ type: "refuse" });
  }

  override async alarm(): Promise<void> {
    try {
      await this.ctx.storage.deleteAll();
    } catch (error) {
      failureReport(this.env)("enrolment", error);
      // The platform rings again after a throw.
      throw error;
    }
  }

  async #stepByTicket(ticketMacs: readonly string[], event: CeremonyEvent): Promise<CeremonyResult> {
    const found = await this.byTicket({ ticketMacs });
    return found.ok ? this.#step(event) : found;
  }

  /** Reads, decides and writes in one turn, so that of two callers one comes first. */
  #step(event: CeremonyEvent): Promise<CeremonyResult> {
    const before = this.#stored();
    if (before === null) return Promise.resolve(refused(event.type === "redeem" ? "code-invalid" : "not-found", null));
    const step = stepCeremony(before, event, Date.now());
    if (step.ceremony !== before) this.ctx.storage.kv.put(DOCUMENT, JSON.stringify(step.ceremony));
    return Promise.resolve(step.ok ? { ok: true, value: step.ceremony } : refused(step.refusal, step.ceremony));
  }

  #stored(): Ceremony | null {
    const text = this.ctx.storage.kv.get(DOCUMENT);
    if (typeof text !== "string") return null;
    const ceremony = ceremonySchema.parse(JSON.parse(text));
    return ceremony.expiresAtMs + KEPT_AFTER_MS <= Date.now() ? null : ceremony;
  }
}

function refused(refusal: Extract<CeremonyResult, { ok: false }>["refusal"], ceremony: Ceremony | null): CeremonyResult {
  return { ok: false, refusal, ceremony };
}

/** In constant time for each. */
function isAny(macs: readonly string[], stored: string): boolean {
  let isKnown = false;
  for (const each of macs) isKnown = isSameText(stored, each) || isKnown;
  return isKnown;
}

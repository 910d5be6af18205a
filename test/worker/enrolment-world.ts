/** One enrolment over the real routes: a machine with a key of its own, and a page with a person's passkey. */
import { confirmBytes, enrolmentCommitment, genesisBytes, genesisOf } from "../../src/core/trust/enrolment.ts";
import type { ConnectorPoll, EnrolmentView } from "../../src/protocol/enrolment-api.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { GenesisDraft, SignedByOwner } from "../../src/protocol/statements.ts";
import { handle } from "../../src/worker/app.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { newLogKey } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { ask, config, env } from "./world.ts";
import type { Person } from "./world.ts";

function random(): string {
  return toBase64url(crypto.getRandomValues(new Uint8Array(32)));
}

export interface Answer {
  readonly status: number;
  readonly code: string | null;
  readonly json: Record<string, unknown>;
}

async function answerOf(response: Response): Promise<Answer> {
  const json = await response.json<Record<string, unknown>>();
  return { status: response.status, code: (json["error"] as { code?: string } | undefined)?.code ?? null, json };
}

/** As a connector asks: no browser, so no `Origin`. */
export async function askAsMachine(path: string, body: object, address = "198.51.100.7", own = env): Promise<Answer> {
  const headers = { "content-type": "application/json", "cf-connecting-ip": address };
  return answerOf(await handle(new Request(`${config.appOrigin}${path}`, { method: "POST", headers, body: JSON.stringify(body) }), own));
}

export class Machine {
  readonly key: LogKey;
  readonly nonce = random();
  enrolment = "";
  ticket = "";
  readonly name = "nas";

  private constructor(key: LogKey) {
    this.key = key;
  }

  /** @param code null for a claim link */
  static async begin(code: string | null): Promise<Machine> {
    const machine = new Machine(await newLogKey());
    const commitment = await enrolmentCommitment(machine.key.key, machine.nonce);
    const body = { key: machine.key.key, commitment, machine: { name: machine.name, platform: "Linux" }, version: "1" };
    const path = code === null ? "/api/connector/claims" : "/api/connector/redeem";
    // An address each: what limits strangers counts by address.
    const address = `198.18.${crypto.getRandomValues(new Uint8Array(2)).join(".")}`;
    const { json } = await askAsMachine(path, code === null ? body : { ...body, code }, address);
    machine.enrolment = String(json["enrolment"]);
    machine.ticket = String(json["ticket"]);
    return machine;
  }

  async poll(): Promise<ConnectorPoll> {
    return (await askAsMachine("/api/connector/poll", this.#about())).json as ConnectorPoll;
  }

  reveal(): Promise<Answer> {
    return askAsMachine("/api/connector/reveal", { ...this.#about(), connectorNonce: this.nonce });
  }

  /** @param own the control plane's settings */
  async confirm(genesis: Uint8Array<ArrayBuffer>, own = env): Promise<Answer> {
    const body = { ...this.#about(), signature: await this.key.sign(confirmBytes(genesis)) };
    return askAsMachine("/api/connector/confirm", body, undefined, own);
  }

  #about() {
    return { enrolment: this.enrolment, ticket: this.ticket };
  }
}

export class EnrolPage {
  readonly #person: Person;
  readonly #enrolment: string;
  readonly authenticator: Authenticator;
  nonce = random();

  constructor(person: Person, enrolment: string, authenticator: Authenticator = person.authenticator) {
    this.#person = person;
    this.#enrolment = enrolment;
    this.authenticator = authenticator;
  }

  async #ask(method: string, step: string, body?: object): Promise<Answer> {
    const cookie = await this.#person.cookie("approve");
    const url = `${config.approveOrigin}/api/enrolments/${this.#enrolment}${step}`;
    return answerOf(await ask(url, { method, cookie, ...(body === undefined ? {} : { body }) }));
  }

  async view(): Promise<EnrolmentView> {
    return (await this.#ask("GET", "")).json as unknown as EnrolmentView;
  }

  claim(name: string): Promise<Answer> {
    return this.#ask("POST", "/claim", { name });
  }

  draft(seen: EnrolmentView, changes: Partial<GenesisDraft> = {}): GenesisDraft {
    const { gateway, connectorKey } = seen;
    if (gateway === null || connectorKey === null) throw new Error("no machine yet");
    const nowMs = Date.now();
    return {
      v: 1,
      gateway,
      gatewayOrigin: config.gatewayOrigin(gateway),
      appOrigin: config.appOrigin,
      approveOrigin: config.approveOrigin,
      rpId: config.rpId,
      connectorKey,
      account: this.#person.id,
      ownerKey: this.authenticator.ownerKey,
      issuedAtMs: nowMs,
      applyByMs: nowMs + 60_000,
      ...changes,
    };
  }

  propose(draft: GenesisDraft): Promise<Answer> {
    return this.#ask("POST", "/propose", { nonce: this.nonce, draft });
  }

  /** @returns the bytes that the page signs, once the machine has opened its commitment */
  async genesis(draft: GenesisDraft): Promise<Uint8Array<ArrayBuffer>> {
    const { commitment, connectorNonce, gatewayName, machine } = await this.view();
    const transcript = {
      enrolment: this.#enrolment,
      commitment: commitment ?? "",
      connectorNonce: connectorNonce ?? "",
      pageNonce: this.nonce,
    };
    return genesisBytes(await genesisOf(draft, { ...transcript, gatewayName, accountName: "Ada", machineName: machine?.name ?? "" }));
  }

  sign(signed: SignedByOwner): Promise<Answer> {
    return this.#ask("POST", "/sign", { signed });
  }
}

/** The whole ceremony of a claim link. @returns the gateway, and the machine's last answer */
export async function claimMachine(person: Person, name = "Home") {
  const machine = await Machine.begin(null);
  const page = new EnrolPage(person, machine.enrolment);
  const claimed = await page.claim(name);
  return { machine, page, claimed, ...(await finishCeremony(machine, page)) };
}

/** From the machine's arrival on. */
export async function finishCeremony(machine: Machine, page: EnrolPage, own = env) {
  const draft = page.draft(await page.view());
  const proposed = await page.propose(draft);
  await machine.reveal();
  const genesis = await page.genesis(draft);
  const signed = await page.sign(await page.authenticator.sign("genesis", genesis));
  const confirmed = await machine.confirm(genesis, own);
  return { gateway: draft.gateway, genesis, proposed, signed, confirmed };
}

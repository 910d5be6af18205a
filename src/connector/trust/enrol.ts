/**
 * Turns this machine into a gateway's connector: commit, open, compare, verify the owner's signature, pin exactly the passkey that signed
 * (PROTOCOL.md EN). The control plane carries the messages; nothing that it says is believed beyond what that signature covers.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import os from "node:os";
import * as z from "zod";
import { checkWords } from "../../core/trust/check-words.ts";
import { keyText } from "../../core/trust/digests.ts";
import { claimMacBytes, confirmBytes, enrolmentCommitment, genesisBytes, genesisOf } from "../../core/trust/enrolment.ts";
import { judgeOwnGenesis } from "../../core/trust/genesis.ts";
import { takenOver } from "../../core/trust/local-policy.ts";
import type { GenesisRefusal, JudgedGenesis } from "../../core/trust/genesis.ts";
import { connectorPollSchema, enrolmentStartedSchema } from "../../protocol/enrolment-api.ts";
import type { ConnectorPoll } from "../../protocol/enrolment-api.ts";
import { apiErrorSchema } from "../../protocol/api-errors.ts";
import type { OwnerPolicy } from "../../protocol/key-log.ts";
import { jsonOf } from "../network/dialler.ts";
import type { Dialler } from "../network/dialler.ts";
import { adoptEnrolmentIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";
import { KeyLog } from "./key-log-file.ts";
import { policyText } from "./policy-texts.ts";
import { strangeAnswer } from "../network/strange-answer.ts";
import type { StateFiles } from "../state/state-files.ts";

/** The control plane refused, or its answer is not what this machine can verify; `code` as in the API. */
export class ControlPlaneError extends Error {
  override name = "ControlPlaneError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a person compares with the page before this machine obeys anybody. */
export interface Comparison {
  readonly gatewayName: string;
  readonly accountName: string;
  /** Passkeys that will decide. */
  readonly passkeys: number;
  readonly words: string;
  /** Host of the page where the owner signs. */
  readonly approvalHost: string;
}

export interface EnrolOptions {
  readonly appOrigin: string;
  readonly files: StateFiles;
  readonly identity: Identity;
  readonly version: string;
  readonly dialler: Dialler;
  readonly say: (event: string, text: string, data?: object) => void;
  /** The person compares; asked once. `later`: nobody is there to ask, keep the ceremony for the next run. */
  readonly confirmWords: (words: string) => Promise<"yes" | "no" | "later">;
  readonly sleep: (ms: number) => Promise<void>;
  readonly now: () => number;
}

const POLL_MS = 700;

async function post<T>(options: EnrolOptions, path: string, body: object, schema: z.ZodType<T>): Promise<T> {
  const answer = await options.dialler.post(new URL(path, options.appOrigin), body).catch((error: unknown) => {
    throw new ControlPlaneError("unreachable", error instanceof Error ? error.message : "The control plane does not answer.");
  });
  const value = jsonOf(answer);
  if (answer.status < 200 || answer.status >= 300) {
    const error = apiErrorSchema.safeParse(value);
    if (error.success) throw new ControlPlaneError(error.data.error.code, error.data.error.message);
    throw new ControlPlaneError("internal", await strangeAnswer(options.dialler, options.appOrigin, answer.status));
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw differs();
  return parsed.data;
}

const nothingSchema = z.unknown();

function differs(): ControlPlaneError {
  return new ControlPlaneError(
    "answer-differs",
    "The control plane's answer is not what the page and this machine agreed on. Nothing was pinned. Do not try again before you know why.",
  );
}

interface Ceremony {
  readonly enrolment: string;
  readonly ticket: string;
  readonly connectorNonce: string;
  readonly machineName: string;
  readonly approveOrigin: string;
}

function machineName(): string {
  return os.hostname().slice(0, 64) || "machine";
}

async function begin(options: EnrolOptions, code: string | null): Promise<Ceremony> {
  const { identity, version } = options;
  const connectorNonce = randomBytes(32).toString("base64url");
  const commitment = await enrolmentCommitment(identity.publicKey, connectorNonce);
  const machine = { name: machineName(), platform: `${os.type()} ${os.arch()}`.slice(0, 60) };
  const body = { key: identity.publicKey, commitment, machine, version };
  const path = code === null ? "/api/connector/claims" : "/api/connector/redeem";
  const { enrolment, ticket, approveOrigin } = await post(options, path, code === null ? body : { ...body, code }, enrolmentStartedSchema);
  if (!URL.canParse(approveOrigin) || new URL(approveOrigin).origin !== approveOrigin) throw differs();
  return { enrolment, ticket, connectorNonce, machineName: machine.name, approveOrigin };
}

/** The ceremony's time is over, or the page ended it. */
class OverError extends ControlPlaneError {}

/** Waits for a state; a failed or expired ceremony ends it. */
async function until(options: EnrolOptions, ceremony: Ceremony, states: readonly ConnectorPoll["state"][]): Promise<ConnectorPoll> {
  for (;;) {
    let poll: ConnectorPoll | null = null;
    try {
      poll = await post(options, "/api/connector/poll", ticketOf(ceremony), connectorPollSchema);
    } catch (error) {
      // A control plane that restarts meanwhile is no reason to give the ceremony up.
      if (!(error instanceof ControlPlaneError) || error.code !== "unreachable") throw error;
    }
    if (poll !== null && states.includes(poll.state)) return poll;
    if (poll?.state === "failed" || poll?.state === "expired")
      throw new OverError("code-invalid", "The code is used up or too old. Get a new one with Add gateway.");
    await options.sleep(POLL_MS);
  }
}

function ticketOf({ enrolment, ticket }: Ceremony) {
  return { enrolment, ticket };
}

/** What this machine expects the passkey to sign: everything is fixed before the commitment is opened. */
interface Expected {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly comparison: Comparison;
}

async function expect(options: EnrolOptions, ceremony: Ceremony, poll: ConnectorPoll): Promise<Expected> {
  const { draft, pageNonce, gatewayName, accountName } = poll;
  if (draft === null || pageNonce === null) throw differs();
  const { identity, appOrigin } = options;
  const { approveOrigin, enrolment, connectorNonce } = ceremony;
  const isOurs =
    keyText(draft.connectorKey) === keyText(identity.publicKey) &&
    draft.appOrigin === appOrigin &&
    draft.approveOrigin === approveOrigin &&
    draft.rpId === new URL(approveOrigin).hostname;
  if (!isOurs) throw differs();
  const commitment = await enrolmentCommitment(identity.publicKey, connectorNonce);
  const names = { gatewayName, accountName, machineName: ceremony.machineName };
  const bytes = genesisBytes(await genesisOf(draft, { enrolment, commitment, connectorNonce, pageNonce, ...names }));
  const words = await checkWords(bytes);
  return { bytes, comparison: { gatewayName, accountName, passkeys: 1, words, approvalHost: new URL(approveOrigin).host } };
}

function showComparison(options: EnrolOptions, { comparison }: Expected): void {
  const { gatewayName, accountName, passkeys, words, approvalHost } = comparison;
  const lines = [
    `Compare with the page at ${approvalHost}:`,
    `  Gateway      ${gatewayName}`,
    `  Account      ${accountName}`,
    `  Passkeys     ${passkeys} will decide`,
    `  Check words  ${words}`,
  ];
  options.say("check-words", lines.join("\n"), comparison);
}

async function reveal(options: EnrolOptions, ceremony: Ceremony): Promise<void> {
  const body = { ...ticketOf(ceremony), connectorNonce: ceremony.connectorNonce };
  await post(options, "/api/connector/reveal", body, nothingSchema);
}

async function refuse(options: EnrolOptions, ceremony: Ceremony): Promise<void> {
  await post(options, "/api/connector/confirm", { ...ticketOf(ceremony), signature: null }, nothingSchema);
  options.files.remove("enrolment");
}

const REFUSAL_TEXTS: Readonly<Record<GenesisRefusal, string>> = {
  "bad-statement": "What the page signed is not a statement that this machine knows. Nothing was pinned.",
  "bad-signature": "The passkey's signature does not verify. Nothing was pinned.",
  differs: "What the page signed is not what this machine shows. Nothing was pinned.",
  "too-late": "The signature is older than ten minutes by this machine's clock. Set the clock, then start again. Nothing was pinned.",
};

/** Verifies, confirms, pins: in this order, and only then is anything on disk. */
async function finish(options: EnrolOptions, ceremony: Ceremony, expected: Expected, poll: ConnectorPoll): Promise<void> {
  const { signed } = poll;
  if (signed === null) throw differs();
  const judged = await judgeOwnGenesis(signed, expected.bytes, options.now());
  if (typeof judged === "string") {
    await refuse(options, ceremony).catch(() => undefined);
    throw new ControlPlaneError("answer-differs", REFUSAL_TEXTS[judged]);
  }
  const signature = options.identity.signRaw(confirmBytes(judged.bytes));
  await post(options, "/api/connector/confirm", { ...ticketOf(ceremony), signature }, nothingSchema);
  await pin(options, judged, poll, expected.comparison.gatewayName);
  options.files.remove("enrolment");
}

async function pin(options: EnrolOptions, judged: JudgedGenesis, { signed, formerPolicy }: ConnectorPoll, name: string): Promise<void> {
  if (signed === null) throw differs();
  const { files, identity, now } = options;
  const { gateway, gatewayOrigin: origin, account, appOrigin, approveOrigin, rpId } = judged.statement;
  for (const file of ["gateway", "sessions", "bindings", "cuts", "roomHead", "alarm", "nextIdentity"] as const) files.remove(file);
  adoptEnrolmentIdentity(files);
  const log = await KeyLog.create(files, identity, { gateway, atMs: now(), body: { type: "genesis", signed } });
  if (formerPolicy !== null) await takeOver(options, log, formerPolicy);
  files.write("gateway", { gateway, account, name, appOrigin, origin, approveOrigin, rpId, generation: 0 });
}

/** The policy of this gateway's last machine, as the control plane tells it: nothing that it says gives anybody more (PROTOCOL.md EN13). */
async function takeOver({ say, now }: EnrolOptions, log: KeyLog, former: OwnerPolicy): Promise<void> {
  const policy = takenOver(log.state.policy, former);
  if (policy === null || (await log.append({ type: "policy", policy }, now())) !== null) return;
  say("policy-taken-over", `Taken over from this gateway's last machine: ${policyText(policy)} \`gatehouse policy\` changes that.`, {
    policy,
  });
}

function isMacRight(secret: Buffer, mac: string | null, genesis: Uint8Array<ArrayBuffer>): boolean {
  const expected = createHmac("sha256", secret).update(claimMacBytes(genesis)).digest();
  const given = Buffer.from(mac ?? "", "base64url");
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
}

/**
 * Claim link: the secret in its fragment authenticates what the page signed, so the machine pins without a question. A link that nobody
 * used is replaced by a new one.
 */
export async function enrolByLink(options: EnrolOptions): Promise<void> {
  for (;;) {
    const secret = randomBytes(32);
    const ceremony = await begin(options, null);
    const url = `${ceremony.approveOrigin}/claim#${ceremony.enrolment}.${secret.toString("base64url")}`;
    options.say("claim-link", `Claim this gateway: ${url}`, { url });
    try {
      const expected = await expect(options, ceremony, await until(options, ceremony, ["proposed"]));
      await reveal(options, ceremony);
      showComparison(options, expected);
      const poll = await until(options, ceremony, ["signed"]);
      if (!isMacRight(secret, poll.mac, expected.bytes)) {
        await refuse(options, ceremony).catch(() => undefined);
        throw differs();
      }
      return await finish(options, ceremony, expected, poll);
    } catch (error) {
      if (!(error instanceof OverError)) throw error;
      options.say("claim-link-over", "The claim link is over. Here is a new one.");
    }
  }
}

/** Enrolment code: the person compares the lines in terminal and page. */
export async function enrolByCode(options: EnrolOptions, code: string | null): Promise<void> {
  const kept = options.files.read("enrolment");
  let ceremony: Ceremony;
  if (kept !== null && (code === null || kept.code === code)) ceremony = kept;
  else if (code !== null) {
    ceremony = await begin(options, code);
    options.files.write("enrolment", { ...ceremony, code, appOrigin: options.appOrigin });
    options.say("waiting-for-page", "Waiting for the page where you pressed Add gateway …");
  } else throw new ControlPlaneError("code-invalid", "No enrolment is under way on this machine. Run with a new code: gatehouse up <code>");
  const poll = await until(options, ceremony, ["proposed", "revealed", "signed"]);
  const expected = await expect(options, ceremony, poll);
  if (poll.state === "proposed") await reveal(options, ceremony);
  showComparison(options, expected);
  const answer = await options.confirmWords(expected.comparison.words);
  if (answer === "later")
    throw new ControlPlaneError(
      "needs-confirmation",
      'Compare these words with the page, then run: gatehouse up --check-words "<words on the page>"',
    );
  if (answer === "no") {
    await refuse(options, ceremony);
    throw new ControlPlaneError("words-differ", "The words differ. The code is burnt; nothing was pinned. Get a new one with Add gateway.");
  }
  options.say("waiting-for-signature", "Waiting for the passkey's signature on the page …");
  await finish(options, ceremony, expected, await until(options, ceremony, ["signed"]));
}

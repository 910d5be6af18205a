/** Turns this machine into a gateway's connector: commit, reveal, check words, pin the owner's passkeys (reference: security.md 5). */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import os from "node:os";
import type * as z from "zod";
import { checkWords, claimTranscript, enrolmentCommitment, transcriptBytes } from "../core/check-words.ts";
import type { EnrolmentTranscript } from "../core/check-words.ts";
import { isSoundKey } from "../core/public-key.ts";
import { connectorPollSchema, enrolmentStartedSchema } from "../protocol/enrolment-api.ts";
import { apiErrorSchema } from "../protocol/api-errors.ts";
import type { ConnectorPoll } from "../protocol/enrolment-api.ts";
import { jsonOf } from "./dialler.ts";
import type { Dialler } from "./dialler.ts";
import { adoptEnrolmentIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";
import { KeyLog } from "./key-log-file.ts";
import { strangeAnswer } from "./strange-answer.ts";
import type { StateFiles } from "./state-files.ts";

/** The control plane said no; `code` as in the API. */
export class ControlPlaneError extends Error {
  override name = "ControlPlaneError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
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

async function post<T>(options: EnrolOptions, path: string, body: object, schema: z.ZodType<T> | null): Promise<T | null> {
  const answer = await options.dialler.post(new URL(path, options.appOrigin), body).catch((error: unknown) => {
    throw new ControlPlaneError("unreachable", error instanceof Error ? error.message : "The control plane does not answer.");
  });
  const value = jsonOf(answer);
  if (answer.status < 200 || answer.status >= 300) {
    const error = apiErrorSchema.safeParse(value);
    if (error.success) throw new ControlPlaneError(error.data.error.code, error.data.error.message);
    throw new ControlPlaneError("internal", await strangeAnswer(options.dialler, options.appOrigin, answer.status));
  }
  return schema === null ? null : schema.parse(value);
}

interface Ceremony {
  readonly enrolment: string;
  readonly ticket: string;
  readonly connectorNonce: string;
}

async function begin(options: EnrolOptions, code: string | null): Promise<Ceremony> {
  const { identity, version } = options;
  const connectorNonce = randomBytes(32).toString("base64url");
  const commitment = await enrolmentCommitment(identity.publicKey, connectorNonce);
  const machine = { name: os.hostname().slice(0, 64) || "machine", platform: `${os.type()} ${os.arch()}`.slice(0, 60) };
  const body = { key: identity.publicKey, commitment, machine, version };
  const started = await post(
    options,
    code === null ? "/api/connector/claims" : "/api/connector/redeem",
    code === null ? body : { ...body, code },
    enrolmentStartedSchema,
  );
  if (started === null) throw new ControlPlaneError("internal", "The control plane gave no answer.");
  return { enrolment: started.enrolment, ticket: started.ticket, connectorNonce };
}

/** Waits for a state; a failed or expired ceremony ends it. */
async function until(options: EnrolOptions, ceremony: Ceremony, states: readonly ConnectorPoll["state"][]): Promise<ConnectorPoll> {
  for (;;) {
    let poll: ConnectorPoll | null = null;
    try {
      poll = await post(options, "/api/connector/poll", { enrolment: ceremony.enrolment, ticket: ceremony.ticket }, connectorPollSchema);
    } catch (error) {
      // A control plane that restarts meanwhile is no reason to give the ceremony up.
      if (!(error instanceof ControlPlaneError) || error.code !== "unreachable") throw error;
    }
    if (poll !== null && states.includes(poll.state)) return poll;
    if (poll?.state === "failed" || poll?.state === "expired")
      throw new ControlPlaneError("code-invalid", "The code is used up or too old. Get a new one with Add gateway.");
    await options.sleep(POLL_MS);
  }
}

function transcriptOf(options: EnrolOptions, ceremony: Ceremony, poll: ConnectorPoll): EnrolmentTranscript {
  const { gateway, pageNonce, ownerKeys } = poll;
  if (gateway === null || pageNonce === null || ownerKeys.length === 0 || !ownerKeys.every((owner) => isSoundKey(owner.key))) {
    throw new ControlPlaneError("internal", "The control plane's answer is incomplete. Nothing was changed.");
  }
  return { gateway, connectorKey: options.identity.publicKey, ownerKeys, connectorNonce: ceremony.connectorNonce, pageNonce };
}

function isMacRight(secret: Buffer, poll: ConnectorPoll, transcript: EnrolmentTranscript, commitment: string): boolean {
  const expected = createHmac("sha256", secret)
    .update(claimTranscript({ ...transcript, commitment }))
    .digest();
  const given = Buffer.from(poll.mac ?? "", "base64url");
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
}

async function finish(options: EnrolOptions, ceremony: Ceremony, poll: ConnectorPoll, matches: boolean): Promise<void> {
  const transcript = transcriptOf(options, ceremony, poll);
  const signature = options.identity.signRaw(transcriptBytes(transcript));
  await post(options, "/api/connector/confirm", { enrolment: ceremony.enrolment, ticket: ceremony.ticket, matches, signature }, null);
  options.files.remove("enrolment");
  if (!matches)
    throw new ControlPlaneError(
      "words-differ",
      "The words were not confirmed. The code is burnt; nothing was pinned. Get a new one with Add gateway.",
    );
  const { origin, account, approveOrigin, gatewayName } = poll;
  if (origin === null || account === null) throw new ControlPlaneError("internal", "The control plane's answer is incomplete.");
  for (const name of ["gateway", "sessions", "bindings", "cuts", "roomHead", "alarm", "nextIdentity"] as const) options.files.remove(name);
  adoptEnrolmentIdentity(options.files);
  const { hostname: rpId } = new URL(approveOrigin);
  const { gateway, connectorKey, ownerKeys } = transcript;
  const genesis = { account, origin, approveOrigin, rpId, connectorKey, ownerKeys: [...ownerKeys] };
  await KeyLog.create(options.files, options.identity, { gateway, atMs: options.now(), body: { type: "genesis", ...genesis } });
  options.files.write("gateway", {
    gateway,
    account,
    name: gatewayName ?? "gateway",
    appOrigin: options.appOrigin,
    origin,
    approveOrigin,
    rpId,
    generation: 0,
  });
}

/** Claim link: the secret in its fragment authenticates the page's answer, so the connector pins without a question. */
export async function enrolByLink(options: EnrolOptions): Promise<void> {
  const secret = randomBytes(32);
  const ceremony = await begin(options, null);
  const url = `${options.appOrigin}/claim#${ceremony.enrolment}.${secret.toString("base64url")}`;
  options.say("claim-link", `Claim this gateway: ${url}`, { url });
  const poll = await until(options, ceremony, ["nonce-given"]);
  const transcript = transcriptOf(options, ceremony, poll);
  const commitment = await enrolmentCommitment(options.identity.publicKey, ceremony.connectorNonce);
  await post(
    options,
    "/api/connector/reveal",
    { enrolment: ceremony.enrolment, ticket: ceremony.ticket, connectorNonce: ceremony.connectorNonce },
    null,
  );
  const isRight = isMacRight(secret, poll, transcript, commitment);
  const words = await checkWords(transcript);
  if (isRight) options.say("check-words", `Check words: ${words} (the page shows the same)`, { words });
  await finish(options, ceremony, poll, isRight);
}

/** Enrolment code: words in terminal and page, compared by the person. */
export async function enrolByCode(options: EnrolOptions, code: string | null): Promise<void> {
  const kept = options.files.read("enrolment");
  let ceremony: Ceremony;
  if (kept !== null && (code === null || kept.code === code)) ceremony = kept;
  else if (code !== null) {
    ceremony = await begin(options, code);
    options.files.write("enrolment", { ...ceremony, code, appOrigin: options.appOrigin });
    options.say("waiting-for-page", "Waiting for the page where you pressed Add gateway …");
  } else throw new ControlPlaneError("code-invalid", "No enrolment is under way on this machine. Run `up <code>` with a new code.");
  let poll = await until(options, ceremony, ["nonce-given", "revealed"]);
  if (poll.state === "nonce-given") {
    await post(
      options,
      "/api/connector/reveal",
      { enrolment: ceremony.enrolment, ticket: ceremony.ticket, connectorNonce: ceremony.connectorNonce },
      null,
    );
    poll = await until(options, ceremony, ["revealed"]);
  }
  const words = await checkWords(transcriptOf(options, ceremony, poll));
  options.say("check-words", `Check words: ${words}`, { words });
  const answer = await options.confirmWords(words);
  if (answer === "later")
    throw new ControlPlaneError(
      "needs-confirmation",
      'Compare these words with the page, then run: gatehouse up --check-words "<words on the page>"',
    );
  await finish(options, ceremony, poll, answer === "yes");
}

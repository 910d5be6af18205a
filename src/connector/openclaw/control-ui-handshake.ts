/** Reads one stream's OpenClaw handshake, adds the gateway's password where rule R8 allows it, and finishes pairing for exactly that key (openclaw.md 2.1, J4). */
import * as z from "zod";
import { APPROVABLE_SCOPES } from "../../core/trust/drift.ts";
import { comeBackAnswer, judgeUnpaired } from "../../core/pairing/held-answer.ts";
import { APPROVAL_HOLD_MS } from "../../protocol/limits.ts";
import type { HandshakeWatch, StaleTokenStore, WatchEvents } from "./openclaw-port.ts";

const CONTROL_UI = "openclaw-control-ui";
/** The stock page sends a UUID. */
const MAX_INSTANCE_CHARS = 100;

const connectSchema = z.looseObject({
  type: z.literal("req"),
  id: z.string(),
  method: z.literal("connect"),
  params: z.looseObject({
    client: z.looseObject({ id: z.string(), instanceId: z.string().max(MAX_INSTANCE_CHARS).optional().catch(undefined) }),
    role: z.string().optional(),
    device: z.looseObject({ id: z.string(), publicKey: z.string() }).optional(),
    auth: z
      .looseObject({ token: z.string().optional(), bootstrapToken: z.string().optional(), deviceToken: z.string().optional() })
      .optional(),
  }),
});

const answerSchema = z.looseObject({
  type: z.literal("res"),
  id: z.string(),
  ok: z.boolean(),
  payload: z
    .looseObject({ type: z.string().optional(), auth: z.looseObject({ scopes: z.array(z.string()).optional() }).optional() })
    .optional(),
  error: z.looseObject({ details: z.looseObject({ code: z.string().optional() }).optional() }).optional(),
});

const listSchema = z.object({
  pending: z.array(
    z.looseObject({
      requestId: z.string(),
      deviceId: z.string(),
      publicKey: z.string(),
      roles: z.array(z.string()).optional(),
      role: z.string(),
      scopes: z.array(z.string()),
    }),
  ),
});

const APPROVE_TRIES = 4;

interface Device {
  readonly id: string;
  readonly publicKey: string;
}

export interface WatchOptions {
  readonly secret: string | null;
  /** One RPC of the control leg. */
  readonly request: (method: string, params: object) => Promise<unknown>;
  /** Written to disk before the approval is sent. */
  readonly bind: (openclawDevice: string) => void;
  /** @see BindingStore.mayHandOver */
  readonly mayHandOver: (openclawDevice: string) => boolean;
  /** @see BindingStore.takeHandover */
  readonly takeHandover: (openclawDevice: string) => boolean;
  /** @see OpenclawGateway.watch */
  readonly mayPair: () => Promise<boolean>;
  /** Only for these is the password added beside a token of theirs. */
  readonly staleTokens: StaleTokenStore;
  readonly events: WatchEvents;
}

/** @returns what the work came to, or null when it takes longer; a failure is the caller's */
function within<T>(limitMs: number, work: Promise<T>): Promise<T | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs, null);
    void work.then(resolve).finally(() => clearTimeout(timer));
  });
}

function parsed<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    const result = schema.safeParse(JSON.parse(text));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}

/**
 * Approves the live request of exactly this key. Looks it up by key each time, because a request's id changes under retries.
 *
 * @param mayPair asked once the request is found; nothing is waited for between its yes and the approval
 * @returns false when the request asks for more than a browser may have, none is there, or the device may not be paired any more
 */
export async function approveKey(request: WatchOptions["request"], device: Device, mayPair: WatchOptions["mayPair"]): Promise<boolean> {
  for (let tries = 0; tries < APPROVE_TRIES; tries += 1) {
    const { pending } = listSchema.parse(await request("device.pair.list", {}));
    const live = pending.find((each) => each.deviceId === device.id && each.publicKey === device.publicKey);
    if (live === undefined) return false;
    const roles = live.roles ?? [live.role];
    if (roles.some((role) => role !== "operator") || live.scopes.some((scope) => !APPROVABLE_SCOPES.has(scope))) return false;
    if (!(await mayPair())) return false;
    try {
      await request("device.pair.approve", { requestId: live.requestId });
      return true;
    } catch (error) {
      // Superseded between list and approve: look again, by key.
      if (!(error instanceof Error) || !error.message.includes("requestId")) throw error;
    }
  }
  return false;
}

export class ControlUiHandshake implements HandshakeWatch {
  readonly #options: WatchOptions;
  #connectId: string | null = null;
  #isStockPage = false;
  #device: Device | null = null;
  #isDone = false;
  #page: string | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  get page(): string | null {
    return this.#page;
  }

  firstFromBrowser(text: string): string {
    const frame = parsed(connectSchema, text);
    if (frame === null) {
      this.#isDone = true;
      return text;
    }
    this.#connectId = frame.id;
    const { client, role, device, auth } = frame.params;
    // Drawn anew by each load of the stock page and kept while it lives. Other clients keep one for all their sockets.
    if (client.id === CONTROL_UI) this.#page = client.instanceId ?? null;
    if (device !== undefined) this.#device = { id: device.id, publicKey: device.publicKey };
    const { secret, staleTokens } = this.#options;
    this.#isStockPage = client.id === CONTROL_UI && (role ?? "operator") === "operator";
    const isControlUi = this.#isStockPage && device !== undefined;
    const isBare = (auth?.token ?? "") === "" && (auth?.bootstrapToken ?? "") === "";
    const hasOwnToken = (auth?.deviceToken ?? "") !== "" && !staleTokens.has(device?.id ?? "");
    if (secret === null || !isControlUi || !isBare || hasOwnToken || !this.#options.mayHandOver(device.id)) return text;
    const whole = JSON.parse(text) as { params: { auth?: object } };
    // `password` is outside the signed payload, so the browser's own signature stays valid.
    whole.params.auth = { ...whole.params.auth, password: secret };
    return JSON.stringify(whole);
  }

  fromGateway(text: string): Promise<string | null> | null {
    if (this.#isDone) return null;
    const frame = parsed(answerSchema, text);
    if (frame === null || frame.id !== this.#connectId) return null;
    this.#isDone = true;
    const { events, staleTokens } = this.#options;
    const device = this.#device;
    if (frame.ok) {
      if (device !== null) {
        staleTokens.delete(device.id);
        this.#options.bind(device.id);
      }
      events.connected(frame.payload?.auth?.scopes ?? []);
      return null;
    }
    const code = frame.error?.details?.code;
    if (device === null) return null;
    if (code === "AUTH_DEVICE_TOKEN_MISMATCH") staleTokens.add(device.id);
    return code === "PAIRING_REQUIRED" ? this.#pair(device, frame.id) : null;
  }

  #pair(device: Device, connectId: string): Promise<string | null> | null {
    const { events, mayHandOver, takeHandover, bind, request, mayPair } = this.#options;
    const unpaired = { isStockPage: this.#isStockPage, mayPair: mayHandOver(device.id), isHandover: takeHandover(device.id) };
    const verdict = judgeUnpaired(unpaired);
    if (verdict === "refuse") {
      events.refused();
      return null;
    }
    bind(device.id);
    const approval = approveKey(request, device, mayPair)
      .catch(() => false)
      .then((isApproved) => {
        if (isApproved) events.paired();
        else events.refused();
        return isApproved ? comeBackAnswer(connectId) : null;
      });
    return verdict === "hold" ? within(APPROVAL_HOLD_MS, approval) : null;
  }
}

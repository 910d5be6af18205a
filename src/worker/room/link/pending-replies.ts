/** What the room has asked its connector and waits for: results of commands, session nonces. All of it ends with the link. */
import { LINK_SILENCE_MS } from "../../../protocol/limits.ts";
import type { LinkResult, ToConnector, ToRoom } from "../../../protocol/link-messages.ts";
import { toBase64url } from "../../../protocol/statement-encoding.ts";
import type { ConnectorNonce } from "../ports.ts";

export interface LinkQuestionsOptions {
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** Asks for an alarm not later than this. */
  readonly wakeBy: (atMs: number) => void;
  /** @returns false when there is no link */
  readonly send: (message: ToConnector) => boolean;
}

export class LinkQuestions {
  readonly #options: LinkQuestionsOptions;
  /** By command id. What is owed may be sent again while somebody still waits for the first answer. */
  readonly #commands = new Map<string, ((result: LinkResult | null) => void)[]>();
  readonly #nonces = new Map<string, { readonly resolve: (nonce: ConnectorNonce | null) => void; readonly askedAtMs: number }>();

  constructor(options: LinkQuestionsOptions) {
    this.#options = options;
  }

  /** @returns the connector's `result`, or null when the link is away or goes */
  command(message: Extract<ToConnector, { id: string }>): Promise<LinkResult | null> {
    return new Promise((resolve) => {
      if (!this.#options.send(message)) return resolve(null);
      this.#commands.set(message.id, [...(this.#commands.get(message.id) ?? []), resolve]);
    });
  }

  /** A connector answers this by itself and at once: one that does not is gone, although nobody heard it go. */
  nonce(): Promise<ConnectorNonce | null> {
    const askedAtMs = this.#options.now();
    const id = toBase64url(this.#options.random(12));
    return new Promise((resolve) => {
      if (!this.#options.send({ type: "nonce-request", id })) return resolve(null);
      this.#nonces.set(id, { resolve, askedAtMs });
      this.#options.wakeBy(askedAtMs + LINK_SILENCE_MS);
    });
  }

  /** @returns when each nonce that is still owed was asked for, in ms */
  nonceAskedAtMs(): number[] {
    return Array.from(this.#nonces.values(), ({ askedAtMs }) => askedAtMs);
  }

  /** @returns whether this answers a question that is open */
  isWaitingFor(message: Extract<ToRoom, { type: "nonce" | "result" }>): boolean {
    return message.type === "nonce" ? this.#nonces.has(message.id) : this.#commands.has(message.id);
  }

  nonceCame({ id, nonce, connectorKey }: Extract<ToRoom, { type: "nonce" }>): void {
    this.#nonces.get(id)?.resolve({ nonce, connectorKey });
    this.#nonces.delete(id);
  }

  /** @returns whether somebody waited for it */
  resultCame(result: LinkResult): boolean {
    const waiting = this.#commands.get(result.id);
    this.#commands.delete(result.id);
    for (const resolve of waiting ?? []) resolve(result);
    return waiting !== undefined;
  }

  /** Nobody answers any more. */
  linkGone(): void {
    for (const waiting of this.#commands.values()) for (const resolve of waiting) resolve(null);
    for (const { resolve } of this.#nonces.values()) resolve(null);
    this.#commands.clear();
    this.#nonces.clear();
  }
}

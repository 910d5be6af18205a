/** An answer of the demo gateway that is not ok: OpenClaw's error frame, and how the socket closes when it happens during the handshake. */
export class Refusal extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  /** Close code, what the reason adds to the message, and when a try is worth it again. */
  readonly close: { readonly code: number; readonly more: string; readonly retryAfterMs?: number };

  constructor(
    code: string,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    close: { readonly code?: number; readonly more?: string; readonly retryAfterMs?: number } = {},
  ) {
    super(message);
    this.code = code;
    this.details = details;
    this.close = { ...close, code: close.code ?? 1008, more: close.more ?? "" };
  }
}

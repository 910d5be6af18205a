/** What rooms and services may ask of an inbox (one per account, named by the account id). */
import type { InboxNotice, WaitingCard } from "../../protocol/api.ts";
import type { GatewayState } from "../../protocol/words.ts";

export interface InboxRpc {
  /** Room: a request appeared or changed; same id replaces. Idempotent. */
  put(card: WaitingCard): Promise<void>;
  /** Room: a request ended. Idempotent. */
  drop(input: { gateway: string; request: string }): Promise<void>;
  /** Room: state or devices changed; passed on to open dashboards, not stored. */
  gatewayChanged(input: { gateway: string; state: GatewayState }): Promise<void>;
  /** Service: an enrolment moved on; passed on to open dashboards. */
  enrolmentChanged(input: { enrolment: string }): Promise<void>;
  /** Room: a grant that nobody answered yet; same id replaces, and what is known already is told to nobody again. */
  putNotice(notice: InboxNotice): Promise<void>;
  /** Room: answered. Idempotent. */
  dropNotice(input: { gateway: string; id: string }): Promise<void>;
  /** Room: the account is nobody at this gateway any more; its cards and questions go, and open dashboards load again. Idempotent. */
  forgetGateway(input: { gateway: string; state: GatewayState }): Promise<void>;
  /**
   * Service: an enrolment code is about to be made. A gateway's new code replaces its last one; codes of gateways without a machine are
   * bounded per hour.
   */
  takeEnrolment(input: {
    gateway: string;
    enrolment: string;
    nowMs: number;
  }): Promise<{ readonly ok: true; readonly replaced: string | null } | { readonly ok: false; readonly retryAfterMs: number }>;
  /** Service: a machine finished this enrolment. Idempotent. */
  endEnrolment(input: { gateway: string }): Promise<void>;
  list(): Promise<readonly WaitingCard[]>;
  noticeList(): Promise<readonly InboxNotice[]>;
  /** Service: sign-out; ends the dashboard sockets of one ended session, or of all with null. */
  closeSockets(input: { session: string | null }): Promise<void>;
  /** The dashboard's WebSocket upgrade, already authenticated; `x-gatehouse-account-session` names the session, `x-gatehouse-account-session-expires` its end in ms. */
  fetch(request: Request): Promise<Response>;
}

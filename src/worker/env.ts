/** Bindings of wrangler.toml as the Worker sees them. */
import type { EnrolmentRpc } from "./enrolment/rpc.ts";
import type { InboxRpc } from "./inbox/rpc.ts";
import type { RoomRpc } from "./room/rpc.ts";

export interface Env {
  readonly ROOM: DurableObjectNamespace<RoomRpc & Rpc.DurableObjectBranded>;
  readonly INBOX: DurableObjectNamespace<InboxRpc & Rpc.DurableObjectBranded>;
  readonly ENROLMENT: DurableObjectNamespace<EnrolmentRpc & Rpc.DurableObjectBranded>;
  readonly DB: D1Database;
  readonly ASSETS: Fetcher;
  readonly STRANGER_LIMIT: RateLimit;
  /** The same for all of one IPv6 /48 together. */
  readonly STRANGER_SITE_LIMIT: RateLimit;
  readonly ACCOUNT_LIMIT: RateLimit;
  readonly APP_ORIGIN: string;
  readonly APPROVE_ORIGIN: string;
  readonly GATEWAY_DOMAIN: string;
  readonly SIGN_UP: string;
  /** Operator's ceilings: gateways of one account, and whole dollars that one gateway may cost a day. */
  readonly MAX_GATEWAYS_PER_ACCOUNT?: string;
  readonly MAX_GATEWAY_USD_PER_DAY?: string;
  /** Where metrics go, when a dataset is bound. */
  readonly METRICS?: AnalyticsEngineDataset;
  /** One in so many requests that went well has a line in the log; 0: none. */
  readonly LOG_SAMPLE?: string;
  /** 32 random bytes, base64url: root of every MAC key. A Workers secret. */
  readonly GATEHOUSE_SECRET: string;
  /** The one before, while it is being rotated out. */
  readonly GATEHOUSE_SECRET_OLD?: string;
  /** Root of the names of gateways, which never change; GATEHOUSE_SECRET until that is rotated for the first time. */
  readonly GATEHOUSE_ID_SECRET?: string;
}

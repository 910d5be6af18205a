/** The Durable Object of one account: what waits for its decision, and the dashboards that watch. */
import { DurableObject } from "cloudflare:workers";
import type { InboxMessage, InboxNotice, WaitingCard } from "../../protocol/api.ts";
import { MAX_UNUSED_ENROLMENTS_PER_HOUR, REQUEST_SILENCE_MS } from "../../protocol/limits.ts";
import type { GatewayState } from "../../protocol/words.ts";
import type { Env } from "../env.ts";
import type { InboxRpc } from "./rpc.ts";

const CLOSE_SIGNED_OUT = 4401;
/** A card whose room fell silent is not shown for ever: rooms refresh or drop it well before. */
const CARD_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;
/** No grant lasts longer, so nothing is asked about one for longer. */
const NOTICE_MS = 90 * 24 * 3_600_000;

/** Whose dashboard watches, and until when. */
interface Watcher {
  readonly session: string;
  readonly expiresAtMs: number;
}

export class Inbox extends DurableObject<Env> implements InboxRpc {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    ctx.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS cards (id TEXT PRIMARY KEY, gateway TEXT NOT NULL, json TEXT NOT NULL, put_at_ms INTEGER NOT NULL)",
    );
    ctx.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS notices (id TEXT PRIMARY KEY, gateway TEXT NOT NULL, json TEXT NOT NULL, at_ms INTEGER NOT NULL)",
    );
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS enrolments (gateway TEXT PRIMARY KEY, id TEXT NOT NULL, at_ms INTEGER NOT NULL)");
  }

  takeEnrolment({ gateway, enrolment, nowMs }: { gateway: string; enrolment: string; nowMs: number }) {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM enrolments WHERE at_ms < ?", nowMs - HOUR_MS);
    const known = sql.exec<{ id: string }>("SELECT id FROM enrolments WHERE gateway = ?", gateway).toArray()[0]?.id ?? null;
    const rows = sql.exec<{ at_ms: number }>("SELECT at_ms FROM enrolments ORDER BY at_ms").toArray();
    if (known === null && rows.length >= MAX_UNUSED_ENROLMENTS_PER_HOUR)
      return Promise.resolve({ ok: false as const, retryAfterMs: (rows[0]?.at_ms ?? nowMs) + HOUR_MS - nowMs });
    sql.exec("INSERT OR REPLACE INTO enrolments (gateway, id, at_ms) VALUES (?, ?, ?)", gateway, enrolment, nowMs);
    return Promise.resolve({ ok: true as const, replaced: known });
  }

  endEnrolment({ gateway }: { gateway: string }): Promise<void> {
    this.ctx.storage.sql.exec("DELETE FROM enrolments WHERE gateway = ?", gateway);
    return Promise.resolve();
  }

  override fetch(request: Request): Promise<Response> {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    server.serializeAttachment({
      session: request.headers.get("x-gatehouse-account-session") ?? "",
      expiresAtMs: Number(request.headers.get("x-gatehouse-account-session-expires") ?? 0),
    } satisfies Watcher);
    server.send(JSON.stringify({ type: "list", requests: this.#cards(), notices: this.#notices() } satisfies InboxMessage));
    return Promise.resolve(new Response(null, { status: 101, webSocket: client }));
  }

  override webSocketMessage(): void {
    // Dashboards only listen; `ping` is answered by the runtime.
  }

  override webSocketClose(ws: WebSocket): void {
    close(ws, 1000, "");
  }

  put(card: WaitingCard): Promise<void> {
    const { sql } = this.ctx.storage;
    sql.exec(
      "INSERT INTO cards (id, gateway, json, put_at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
      card.id,
      card.gateway,
      JSON.stringify(card),
      Date.now(),
    );
    this.#tell({ type: "request", request: card });
    return Promise.resolve();
  }

  drop(input: { gateway: string; request: string }): Promise<void> {
    this.ctx.storage.sql.exec("DELETE FROM cards WHERE id = ? AND gateway = ?", input.request, input.gateway);
    this.#tell({ type: "request-gone", gateway: input.gateway, request: input.request });
    return Promise.resolve();
  }

  gatewayChanged(input: { gateway: string; state: GatewayState }): Promise<void> {
    this.#tell({ type: "gateway", ...input });
    return Promise.resolve();
  }

  enrolmentChanged(input: { enrolment: string }): Promise<void> {
    this.#tell({ type: "enrolment", ...input });
    return Promise.resolve();
  }

  putNotice(notice: InboxNotice): Promise<void> {
    const { sql } = this.ctx.storage;
    const json = JSON.stringify(notice);
    const known = sql.exec<{ json: string }>("SELECT json FROM notices WHERE id = ?", notice.id).toArray()[0];
    if (known?.json === json) return Promise.resolve();
    sql.exec(
      "INSERT INTO notices (id, gateway, json, at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
      notice.id,
      notice.gateway,
      json,
      notice.atMs,
    );
    this.#tell({ type: "notice", notice });
    return Promise.resolve();
  }

  dropNotice(input: { gateway: string; id: string }): Promise<void> {
    this.ctx.storage.sql.exec("DELETE FROM notices WHERE id = ? AND gateway = ?", input.id, input.gateway);
    this.#tell({ type: "notice-gone", ...input });
    return Promise.resolve();
  }

  forgetGateway(input: { gateway: string; state: GatewayState }): Promise<void> {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM cards WHERE gateway = ?", input.gateway);
    sql.exec("DELETE FROM notices WHERE gateway = ?", input.gateway);
    this.#tell({ type: "list", requests: this.#cards(), notices: this.#notices() });
    this.#tell({ type: "gateway", ...input });
    return Promise.resolve();
  }

  noticeList(): Promise<readonly InboxNotice[]> {
    return Promise.resolve(this.#notices());
  }

  list(): Promise<readonly WaitingCard[]> {
    return Promise.resolve(this.#cards());
  }

  closeSockets(input: { session: string | null }): Promise<void> {
    for (const ws of this.ctx.getWebSockets())
      if (input.session === null || watcherOf(ws).session === input.session) close(ws, CLOSE_SIGNED_OUT, "signed out");
    return Promise.resolve();
  }

  #cards(): WaitingCard[] {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM cards WHERE put_at_ms < ?", Date.now() - CARD_MS - REQUEST_SILENCE_MS);
    return sql
      .exec<{ json: string }>("SELECT json FROM cards ORDER BY put_at_ms, rowid")
      .toArray()
      .map((row) => JSON.parse(row.json) as WaitingCard);
  }

  /** Newest first. */
  #notices(): InboxNotice[] {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM notices WHERE at_ms < ? OR json_extract(json, '$.untilMs') <= ?", Date.now() - NOTICE_MS, Date.now());
    return sql
      .exec<{ json: string }>("SELECT json FROM notices ORDER BY at_ms DESC, rowid DESC")
      .toArray()
      .map((row) => JSON.parse(row.json) as InboxNotice);
  }

  #tell(message: InboxMessage): void {
    const text = JSON.stringify(message);
    for (const ws of this.ctx.getWebSockets()) {
      if (watcherOf(ws).expiresAtMs <= Date.now()) close(ws, CLOSE_SIGNED_OUT, "signed out");
      else if (ws.readyState === WebSocket.OPEN) ws.send(text);
    }
  }
}

function watcherOf(ws: WebSocket): Watcher {
  const { session, expiresAtMs } = (ws.deserializeAttachment() ?? {}) as Partial<Record<keyof Watcher, unknown>>;
  return { session: typeof session === "string" ? session : "", expiresAtMs: typeof expiresAtMs === "number" ? expiresAtMs : 0 };
}

function close(ws: WebSocket, code: number, reason: string): void {
  try {
    ws.close(code, reason);
  } catch {
    // Already gone.
  }
}

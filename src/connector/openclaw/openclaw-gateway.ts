/** The OpenClaw gateway beside this connector: control leg, version gate, settings, self-test, pairing, in one place. */
import type { PairedEntry } from "../../core/trust/drift.ts";
import { settingLines, settingsHash } from "../../core/trust/settings-diff.ts";
import type { SettingLine, SettingsQuestion } from "../../protocol/link-local-acts.ts";
import type { GatewayReport, StreamOpen } from "../../protocol/link-messages.ts";
import { ControlLeg, GatewayRefusedError, isNotLocal } from "./rpc-client.ts";
import type { ControlState } from "./rpc-client.ts";
import type { Discovered } from "./discover.ts";
import { ControlUiHandshake } from "./control-ui-handshake.ts";
import { GatewayAwayError } from "./openclaw-port.ts";
import type { BindingStore, GatewayTarget, HandshakeWatch, OpenclawGateway, Removal, WatchEvents } from "./openclaw-port.ts";
import { readPaired } from "./paired-list.ts";
import { SecretSource, rotateSecret } from "./rotate-secret.ts";
import type { RotateOutcome } from "./rotate-secret.ts";
import { selfTest } from "./self-test.ts";
import { applySettings, planSettings, readConfig } from "./settings.ts";
import { isSoundAuthMode } from "./auth-mode.ts";
import type { SettingChange } from "./settings.ts";
import { OpenQuestion } from "./settings-question.ts";
import type { AskHere, SettingsOutcome } from "./settings-question.ts";
import { mayBeProbed } from "./version-gate.ts";

export interface OpenclawOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Exact origin that this gateway is served at. */
  readonly origin: string;
  readonly bindings: BindingStore;
  readonly now: () => number;
  /** Milliseconds that only ever grow, for round trips; the process's own unless given. */
  readonly clock?: () => number;
  /** Asked when settings are missing; a yes applies them. */
  readonly approveSettings: AskHere;
  /** Origins that this machine added to OpenClaw's list for gateways that it is no longer. */
  readonly formerOrigins?: () => readonly string[];
  /** Kept on disk for `uninstall` before anything is written. */
  readonly keepSettings: (changes: readonly SettingChange[]) => void;
  /** OpenClaw refused to write them: nothing was changed. `why` is its own sentence. */
  readonly onNotTaken?: (changes: readonly SettingChange[], why: string) => void;
  /** How often the settings are looked at while the gateway runs; 20 s unless given. */
  readonly watchSettingsMs?: number;
}

/** OpenClaw says `config.changed` for what went through its RPC; this finds the rest, and an event that got lost. Most settings need no restart. */
const WATCH_SETTINGS_MS = 20_000;
const SELF_TEST_RETRIES = 10;
const SELF_TEST_WAIT_MS = 500;
/** A gateway that announced a restart and is not back after this long has failed to start. */
const RESTART_PATIENCE_MS = 2 * 60_000;

/** OpenClaw's settings changed between the question and the yes. */
class SettingsChangedError extends Error {
  override name = "SettingsChangedError";
}

/** OpenClaw refused to write what was answered with yes. */
class SettingsNotTakenError extends Error {
  override name = "SettingsNotTakenError";
}

/** @returns what an owner hears of a yes that failed */
function outcomeOf(error: unknown): SettingsOutcome {
  if (error instanceof SettingsChangedError) return "over";
  if (error instanceof GatewayAwayError) return "gateway-away";
  return error instanceof GatewayRefusedError ? "not-taken" : "internal";
}

export class LocalOpenclaw implements OpenclawGateway {
  readonly #options: OpenclawOptions;
  readonly #leg: ControlLeg;
  readonly #source: SecretSource;
  readonly #listeners = new Set<(report: GatewayReport) => void>();
  readonly #pairing = new Set<() => void>();
  readonly #pings = new Set<(ms: number) => void>();
  /** Taken out of the gateway's list for a cut, while the disk refuses to forget them: the next try finds them gone, and they are this one's all the same. */
  readonly #taken = new Set<string>();
  readonly #question = new OpenQuestion();
  /** Until it answers for the first time. */
  readonly #found: Discovered;
  readonly #startedAtMs: number;
  #report: GatewayReport = { state: "offline" };
  #testRun = 0;
  /** The restart that the gateway announced, while it is away for it. */
  #restart: { readonly expectedMs: number; readonly untilMs: number } | null = null;
  #watch: NodeJS.Timeout | undefined;
  /** Of the pages that it serves. */
  #build: string | undefined;
  /** Hash of the config that the last check saw; null while a check runs. */
  #checkedHash: string | null = null;
  /** The settings changed while a check ran: it may have read them before. */
  #hasChanged = false;

  /** @throws DiscoverError when the gateway's address may not be used */
  constructor(options: OpenclawOptions) {
    this.#options = options;
    this.#startedAtMs = options.now();
    this.#source = new SecretSource(options.env);
    this.#found = this.#source.discover();
    this.#leg = new ControlLeg(() => this.#source.discover(), {
      onState: (state) => void this.#controlState(state),
      onEvent: (event) => {
        if (event.startsWith("device.pair.")) for (const listener of this.#pairing) listener();
        if (event !== "config.changed") return;
        if (this.#checkedHash === null) this.#hasChanged = true;
        else void this.#watchSettings();
      },
    });
  }

  get target(): GatewayTarget {
    return (this.#leg.reached ?? this.#found).target;
  }

  get report(): GatewayReport {
    return this.#report;
  }

  get isServing(): boolean {
    return this.#report.state === "online";
  }

  /** The settings that wait for a yes; null when none do. */
  get settings(): SettingsQuestion | null {
    return this.#question.waiting;
  }

  rotateSecret(): Promise<RotateOutcome> {
    const { env, bindings } = this.#options;
    return rotateSecret(this.#leg, env, bindings.staleTokens, this.#source);
  }

  answerSettings(hash: string, isYes: boolean): Promise<SettingsOutcome> {
    return this.#question.answer(hash, isYes);
  }

  start(): void {
    this.#leg.start();
    this.#watch = setInterval(() => void this.#watchSettings(), this.#options.watchSettingsMs ?? WATCH_SETTINGS_MS);
  }

  stop(): Promise<void> {
    clearInterval(this.#watch);
    this.#question.end("over");
    this.#leg.stop();
    return Promise.resolve();
  }

  onReport(listener: (report: GatewayReport) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  watch(open: StreamOpen, events: WatchEvents, mayPair: () => Promise<boolean>): HandshakeWatch {
    const { bindings } = this.#options;
    return new ControlUiHandshake({
      secret: (this.#leg.reached ?? this.#found).secret?.value ?? null,
      request: (method, params) => this.#leg.request(method, params),
      bind: (openclawDevice) => bindings.bind(open.device, openclawDevice),
      mayHandOver: (openclawDevice) => bindings.mayHandOver(open, openclawDevice),
      takeHandover: (openclawDevice) => bindings.takeHandover(open, openclawDevice),
      mayPair,
      staleTokens: bindings.staleTokens,
      events,
    });
  }

  async removeBound(device: string): Promise<Removal> {
    const { bindings } = this.#options;
    const entries = bindings.bound(device);
    let removed = 0;
    for (const entry of entries) {
      if (await this.#take(entry)) this.#taken.add(entry);
      if (this.#taken.has(entry)) removed += 1;
      bindings.unbind(device, entry);
      this.#taken.delete(entry);
    }
    return { removed, absent: entries.length - removed, entries };
  }

  async paired(): Promise<readonly PairedEntry[]> {
    return readPaired(await this.#leg.request("device.pair.list", {}));
  }

  async removeEntry(entry: string): Promise<void> {
    await this.#take(entry);
  }

  onPairing(listener: () => void): () => void {
    this.#pairing.add(listener);
    return () => this.#pairing.delete(listener);
  }

  async ping(): Promise<number> {
    const clock = this.#options.clock ?? (() => performance.now());
    const startMs = clock();
    await this.#leg.ping();
    const ms = Math.max(0, clock() - startMs);
    for (const listener of this.#pings) listener(ms);
    return ms;
  }

  onPing(listener: (ms: number) => void): () => void {
    this.#pings.add(listener);
    return () => this.#pings.delete(listener);
  }

  /** @returns false when it was not there any more. @throws GatewayAwayError for anything else: it is tried again */
  async #take(entry: string): Promise<boolean> {
    // Before the removal: a process that dies in between would forget it, and a mark too many does nothing.
    this.#options.bindings.staleTokens.add(entry);
    try {
      await this.#leg.request("device.pair.remove", { deviceId: entry });
      return true;
    } catch (error) {
      if (!(error instanceof GatewayRefusedError)) throw error;
      if (!/unknown deviceId/i.test(error.message)) throw new GatewayAwayError(error.message);
      return false;
    }
  }

  /** Somebody changed the settings: what the last test proved may no longer hold. */
  async #watchSettings(): Promise<void> {
    const checked = this.#checkedHash;
    if (checked === null) return;
    // Beside it: a gateway that is slow to answer this is looked at all the same.
    this.ping().catch(() => undefined);
    try {
      const { hash } = await readConfig(this.#leg);
      if (hash !== checked && checked === this.#checkedHash) await this.#check();
    } catch (error) {
      if (!(error instanceof GatewayAwayError) && !(error instanceof GatewayRefusedError)) throw error;
    }
  }

  async #controlState(state: ControlState): Promise<void> {
    if (state.state === "ready") {
      this.#restart = null;
      this.#build = state.build;
      return this.#check(state.version);
    }
    this.#testRun += 1;
    this.#checkedHash = null;
    this.#question.end("over");
    switch (state.why) {
      case "restarting":
        if (state.restartExpectedMs === undefined) return this.#tell({ state: "restarting" });
        this.#restart = { expectedMs: state.restartExpectedMs, untilMs: this.#options.now() + RESTART_PATIENCE_MS };
        return this.#tell({ state: "restarting", restartExpectedMs: state.restartExpectedMs });
      case "not-running":
        // Nothing listens while it restarts as it said.
        if (this.#restart !== null && this.#options.now() < this.#restart.untilMs)
          return this.#tell({ state: "restarting", restartExpectedMs: this.#restart.expectedMs });
        return this.#tell({ state: "offline", reason: state.why });
      case "starting":
        return this.#tell({ state: "starting" });
      default:
        return this.#tell({ state: "offline", reason: state.why });
    }
  }

  /** Version, settings, self-test, in this order; serves only when all three hold. A newer check makes an older one void. */
  async #check(version = this.#report.version ?? ""): Promise<void> {
    this.#testRun += 1;
    const run = this.#testRun;
    this.#checkedHash = null;
    this.#question.end("over");
    const isStale = (): boolean => run !== this.#testRun;
    const demo = version.endsWith("-demo") ? { demo: true } : {};
    const tell = (report: GatewayReport): void => {
      const build = report.state === "online" && this.#build !== undefined ? { build: this.#build } : {};
      if (!isStale()) this.#tell({ ...report, version, ...demo, ...build });
    };
    if (!mayBeProbed(version)) return tell({ state: "unsafe", reason: "too-old" });
    if (this.#report.state !== "online") tell({ state: "starting" });
    let hash: string | null = null;
    try {
      const seen = await readConfig(this.#leg);
      ({ hash } = seen);
      if (!isSoundAuthMode(seen.config)) return tell({ state: "unsafe", reason: "auth-mode" });
      const lines = settingLines(this.#plan(seen.config));
      if (lines.length > 0) {
        const settings = { hash: await settingsHash(lines), lines };
        if (isStale()) return;
        const wait = (): void => {
          tell({ state: "needs-settings", settings });
          // Settings that somebody sets meanwhile by another way end the question.
          this.#checked(hash);
        };
        // Somebody took them out while devices were served: nothing goes on while a person thinks about it.
        if (this.isServing) tell({ state: "needs-settings", settings });
        const { answer, settle } = await this.#question.ask(settings, this.#options.approveSettings, wait);
        if (isStale() || answer === "over") return settle("over");
        if (answer === "no") return tell({ state: "unsafe", reason: "settings-refused" });
        this.#checkedHash = null;
        await this.#apply(lines, settle);
        ({ hash } = await readConfig(this.#leg));
      }
      tell(await this.#proved(isStale));
    } catch (error) {
      if (error instanceof GatewayAwayError) return;
      if (!(error instanceof SettingsChangedError)) {
        // Only a client on the gateway's own machine may read them (PROTOCOL.md R16).
        const otherwise = isNotLocal(error) ? "not-local" : "settings-missing";
        return tell({ state: "unsafe", reason: error instanceof SettingsNotTakenError ? "settings-not-taken" : otherwise });
      }
      // What was answered is not what OpenClaw needs now: the next check asks for that.
      this.#hasChanged = true;
      hash = "";
    } finally {
      if (!isStale()) this.#checked(hash);
    }
  }

  /** The config with this hash is judged: what changes it from here on is looked at, and what changed it meanwhile at once. */
  #checked(hash: string | null): void {
    this.#checkedHash = hash;
    const again = this.#hasChanged;
    this.#hasChanged = false;
    if (again) void this.#watchSettings();
  }

  #plan(config: Record<string, unknown>): SettingChange[] {
    const { origin, formerOrigins } = this.#options;
    return planSettings(config, origin, formerOrigins?.() ?? []);
  }

  /**
   * Writes what was answered with yes, and nothing else.
   *
   * @param lines the diff that somebody saw
   * @throws SettingsChangedError when OpenClaw needs something else by now; then nothing is written. SettingsNotTakenError when it refuses
   */
  async #apply(lines: readonly SettingLine[], settle: (outcome: SettingsOutcome) => void): Promise<void> {
    const seen = JSON.stringify(lines);
    let tried: readonly SettingChange[] = [];
    try {
      await applySettings(this.#leg, (config) => {
        const plan = this.#plan(config);
        if (plan.length > 0 && JSON.stringify(settingLines(plan)) !== seen) throw new SettingsChangedError();
        if (plan.length > 0) this.#options.keepSettings(plan);
        tried = plan;
        return plan;
      });
      settle("done");
    } catch (error) {
      settle(outcomeOf(error));
      if (!(error instanceof GatewayRefusedError)) throw error;
      this.#options.onNotTaken?.(tried, error.message);
      throw new SettingsNotTakenError(error.message);
    }
  }

  /** What the self-test says of the gateway, once its answer is final. */
  async #proved(isStale: () => boolean): Promise<GatewayReport> {
    const { origin } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const result = await selfTest(this.#leg, this.#leg.reached ?? this.#found, origin, this.#startedAtMs);
      if (result.passed) return { state: "online" };
      const { reason } = result;
      const isFinal = reason === "stranger-admitted" || reason === "way-in-refused";
      if (isStale() || isFinal || tries >= SELF_TEST_RETRIES)
        return { state: "unsafe", reason: reason === "rate-limited" ? "not-running" : reason };
      // The gateway applies new settings a moment after it answered; a limit says itself when it ends.
      const waitMs = reason === "rate-limited" ? Math.max(SELF_TEST_WAIT_MS, result.retryAfterMs) : SELF_TEST_WAIT_MS;
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
    }
  }

  #tell(report: GatewayReport): void {
    this.#report = report;
    for (const listener of this.#listeners) listener(report);
  }
}

/** Writes a service of ours, starts it, and takes it out again. Talks to nobody: the commands around it do. */
import {
  chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, writeFileSync,
} from "node:fs"; // prettier-ignore
import path from "node:path";
import { OpenclawConfig } from "../openclaw/config-file.ts";
import { gatewayUrl } from "../openclaw/dial.ts";
import { discoverGateway } from "../openclaw/discover.ts";
import type { Discovered } from "../openclaw/discover.ts";
import { isOurName } from "../state/state-folder.ts";
import { isRootOnly, manifestPath, readManifest } from "./places.ts";
import type { Machine, Manifest, Places, ServiceKind } from "./places.ts";
import { environmentText, shimText, unitText } from "./unit.ts";
import type { UnitPlan } from "./unit.ts";

const PROGRAM_FILES = ["gatehouse.mjs", "connector.mjs", "package.json", "origin.json"] as const;
/** What the service needs of the shell that installs it. */
const KEPT = ["OPENCLAW_URL", "GATEHOUSE_APP_ORIGIN", "GATEHOUSE_METRICS", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] as const;

export interface ServicePlan {
  readonly kind: ServiceKind;
  readonly places: Places;
  readonly unit: UnitPlan;
  /** Text of the unit. */
  readonly text: string;
  /** The environment file's own variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether Node is copied beside the program. */
  readonly copiesNode: boolean;
  /** A CA file that is copied beside the program. */
  readonly caFile: string | null;
  readonly secret: string | null;
  /** For the note that `uninstall` reads. */
  readonly openclaw: Manifest["openclaw"];
  /** Id of the gateway; empty where the machine is not enrolled. */
  readonly gateway: string;
}

export interface PlanOptions {
  readonly gateway: string;
  readonly kind: ServiceKind;
  readonly places: Places;
  readonly machine: Machine;
  readonly found: Pick<Discovered, "secret" | "secretSource" | "target">;
  /** Values of the command line, which go before the shell's. */
  readonly proxy: string | undefined;
  readonly metrics: string | undefined;
  readonly app: string | undefined;
}

/** @returns OpenClaw's config file, when a service that sees nothing else of OpenClaw's finds the same secret there; else null */
function configAlone(env: NodeJS.ProcessEnv, { secret, secretSource }: PlanOptions["found"]): string | null {
  const { file, hasIncludes } = new OpenclawConfig(env);
  // The service manager hands over this one file, without those that it includes.
  if (secret === null || secretSource !== file || hasIncludes) return null;
  try {
    const alone = discoverGateway({ HOME: "/nowhere", OPENCLAW_CONFIG_PATH: file, OPENCLAW_URL: "ws://127.0.0.1:1" });
    return alone.secret?.value === secret.value ? path.resolve(file) : null;
  } catch {
    return null;
  }
}

/** @returns everything that would be written; writes nothing, throws Error for a value that a unit cannot hold */
export function planService(options: PlanOptions): ServicePlan {
  const { gateway, kind, places, machine, found, proxy, metrics, app } = options;
  const { env } = machine;
  const config = configAlone(env, found);
  const environment: Record<string, string> = {};
  for (const name of KEPT) {
    const value = env[name.toLowerCase()] ?? env[name] ?? "";
    if (value !== "") environment[name] = value;
  }
  if (proxy !== undefined) environment["HTTPS_PROXY"] = environment["HTTP_PROXY"] = proxy;
  if (metrics !== undefined) environment["GATEHOUSE_METRICS"] = metrics;
  if (app !== undefined) environment["GATEHOUSE_APP_ORIGIN"] = app;
  // Without its config the service cannot look the port up.
  if (config === null) environment["OPENCLAW_URL"] ??= gatewayUrl(found.target, "ws");
  const caFile = env["NODE_EXTRA_CA_CERTS"] ?? "";
  if (caFile !== "") environment["NODE_EXTRA_CA_CERTS"] = path.join(places.programDir, "ca.pem");
  // What an agent may write, it could exchange for a program of its own.
  const copiesNode = kind === "system" && !isRootOnly(machine.node);
  const secret = found.secret !== null && config === null ? found.secret.value : null;
  const secretKind = found.secret?.kind ?? "token";
  const unit: UnitPlan = {
    kind,
    node: copiesNode ? path.join(places.programDir, "node") : machine.node,
    program: path.join(places.programDir, "gatehouse.mjs"),
    stateDir: places.stateDir,
    environmentFile: places.environment,
    configFile: config,
    secretFile: secret === null ? null : places.secret,
    secretKind,
  };
  return {
    gateway,
    kind,
    places,
    unit,
    text: unitText(unit),
    environment,
    copiesNode,
    caFile: caFile === "" ? null : caFile,
    secret,
    openclaw: { config: unit.configFile, secret: unit.secretFile, secretKind, url: environment["OPENCLAW_URL"] ?? null },
  };
}

/** Whole or not at all. */
function put(file: string, content: string | Buffer, mode: number): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, content, { mode });
  chmodSync(temporary, mode);
  renameSync(temporary, file);
}

function copy(from: string, to: string, mode: number): void {
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(from, `${to}.new`);
  chmodSync(`${to}.new`, mode);
  renameSync(`${to}.new`, to);
}

function isOurShim(file: string): boolean {
  return !existsSync(file) || readFileSync(file, "utf8").includes("# Written by gatehouse install.");
}

/** Writes program, settings, unit and note. Idempotent. @returns the files that were written */
export function writeService(plan: ServicePlan, machine: Machine): readonly string[] {
  const { places, unit } = plan;
  const written: string[] = [];
  const note = (file: string): string => {
    written.push(file);
    return file;
  };
  for (const name of PROGRAM_FILES) {
    const from = path.join(machine.programDir, name);
    const to = path.join(places.programDir, name);
    if (existsSync(from) && path.resolve(from) !== path.resolve(to)) copy(from, to, name.endsWith(".mjs") ? 0o755 : 0o644);
    if (existsSync(to)) note(to);
  }
  if (plan.copiesNode && machine.node !== unit.node) copy(machine.node, unit.node, 0o755);
  if (plan.copiesNode) note(unit.node);
  if (plan.caFile !== null) {
    const to = path.join(places.programDir, "ca.pem");
    if (plan.caFile !== to) copy(plan.caFile, to, 0o644);
    note(to);
  }
  put(note(places.environment), environmentText(plan.environment), 0o600);
  if (plan.secret !== null) put(note(places.secret), `${plan.secret}\n`, 0o600);
  else rmSync(places.secret, { force: true });
  if (isOurShim(places.shim)) put(note(places.shim), shimText(unit), 0o755);
  put(note(places.unit), plan.text, 0o644);
  const { gateway, kind, openclaw } = plan;
  const manifest: Manifest = { kind, gateway, unit: places.unitName, files: written, stateDir: places.stateFiles, openclaw };
  put(manifestPath(places), `${JSON.stringify(manifest, null, 2)}\n`, 0o644);
  return written;
}

function systemctl(machine: Machine, kind: ServiceKind, ...words: readonly string[]): string {
  return machine.run("systemctl", [...(kind === "user" ? ["--user"] : []), ...words]);
}

/** Starts it now and at every boot; an older one is replaced. @throws Error naming the command that failed */
export function startService(machine: Machine, kind: ServiceKind, unit: string): void {
  systemctl(machine, kind, "daemon-reload");
  systemctl(machine, kind, "enable", unit);
  systemctl(machine, kind, "restart", unit);
  // Without it a user's services end with the last session.
  if (kind === "user") machine.run("loginctl", ["enable-linger"]);
}

/** @throws Error naming the command that failed */
export function stopService(machine: Machine, kind: ServiceKind, unit: string): void {
  systemctl(machine, kind, "disable", "--now", unit);
}

/** Removes exactly what `install` wrote. @returns those files */
export function removeService(places: Places, machine: Machine): readonly string[] {
  const manifest = readManifest(places);
  if (manifest === null) return [];
  for (const file of manifest.files) rmSync(file, { force: true });
  rmSync(manifestPath(places), { force: true });
  for (const folder of new Set([places.programDir, path.dirname(places.environment)]))
    if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
  if (machine.hasSystemd) systemctl(machine, manifest.kind, "daemon-reload");
  return manifest.files;
}

/** Files of a state folder that move along; sockets and the lock belong to a process. */
const STATE_FILE = /^[\w-]+\.(?:json|jsonl)(?:\.\d+\.old)?$/;

/** Copies a stopped connector's state. The new owner is the service manager's to set. @returns what was copied */
export function copyState(from: string, to: string): readonly string[] {
  mkdirSync(path.dirname(to), { recursive: true, mode: 0o700 });
  mkdirSync(to, { mode: 0o700 });
  const names = readdirSync(from).filter((name) => STATE_FILE.test(name) && isOurName(name) && lstatSync(path.join(from, name)).isFile());
  for (const name of names) copy(path.join(from, name), path.join(to, name), 0o600);
  return names;
}

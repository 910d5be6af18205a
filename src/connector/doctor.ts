/** `gatehouse doctor`: one check after another, each with its cure. */
import { diffText } from "../core/trust/settings-diff.ts";
import { MIN_OPENCLAW_VERSION } from "../protocol/version.ts";
import { shownProxy } from "./outbound-proxy.ts";
import { builtPageHash, fetchServed, judgePage, pageHash, servedVersion } from "./approval-page.ts";
import { EXIT } from "./exit-codes.ts";
import type { HopLine } from "./hop-lines.ts";
import { runningStatus } from "./host-commands.ts";
import { askRunning } from "./local-control.ts";
import { machineText } from "./machine-texts.ts";
import { DiscoverError, discoverGateway } from "./openclaw/discover.ts";
import type { Discovered } from "./openclaw/discover.ts";
import { isLive } from "./openclaw/dial.ts";
import { isNotLocal } from "./openclaw/control-leg.ts";
import { withGateway } from "./openclaw/one-leg.ts";
import { AUTH_MODE_CURE, isSoundAuthMode, planSettings, readConfig, settingsDiff } from "./openclaw/settings.ts";
import { isKnownToServe, mayBeProbed } from "./openclaw/version-gate.ts";
import { notLocalCure } from "./not-local.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";

const PROXY_TEXT = {
  proxy: "",
  loopback: "none: loopback is always direct",
  "no-proxy": "none: NO_PROXY names the control plane",
  none: "none is set",
};

const LOOK_WITHIN_MS = 5_000;

/** What to do about each reason that a connector reports; see `gatewayReportSchema`. */
const CURE: Readonly<Record<string, string>> = {
  "not-running": "OpenClaw does not answer as it should. Look at its own log, then restart it",
  "too-old": `update OpenClaw to ${MIN_OPENCLAW_VERSION} or newer: this one does not tell strangers from local users`,
  "way-in-refused": "this OpenClaw does not take the way in that Gatehouse uses. Update it, or set gateway.auth.mode to password",
  "settings-missing": "run `gatehouse run --yes` to apply the settings it needs",
  "settings-refused": "somebody answered no to the settings. Run `gatehouse run` to be asked again, or `gatehouse run --yes` to apply them",
  "stranger-admitted":
    "a stranger would be let in: gateway.auth.mode must be token or password, gateway.nodes.pairing.autoApproveLocal false; then remove devices that were paired silently (openclaw devices list)",
  "auth-mode": AUTH_MODE_CURE,
  "auth-failed": "the secret is wrong: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
  "settings-not-taken":
    "OpenClaw's config cannot be written from here: add the settings that `gatehouse run` prints to it, then restart it",
  "no-secret": "no secret was found: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
};

function discovered(): Discovered | string {
  try {
    return discoverGateway(process.env);
  } catch (error) {
    if (error instanceof DiscoverError) return error.message;
    throw error;
  }
}

/**
 * Checks enrolment, the gateway's address and secret, the running connector, its link, what its self-test found, and the approval page. The
 * last only warns: this machine serves well whatever that page is.
 *
 * @returns 0 when all is well, 5 when the gateway is not safe to serve, else 1; throws DamagedStateError
 */
export async function doctor({ terminal, files, dialler }: Options): Promise<number> {
  let failures = 0;
  const check = (name: string, isGood: boolean, text: string): void => {
    if (!isGood) failures += 1;
    terminal.say("check", `${isGood ? "ok  " : "FAIL"} ${name}: ${text}`, { check: name, ok: isGood, text });
  };
  const file = files.read("gateway");
  check("enrolled", file !== null, file === null ? "run `gatehouse up`" : file.origin);
  const found = discovered();
  const running = await runningStatus(files.dir);
  let isUp = false;
  if (typeof found === "string") check("gateway", false, found);
  else {
    check("secret", found.secret !== null, found.secretSource);
    const { port } = found.target;
    isUp = (await isLive(found.target)) || (found.other !== null && (await isLive(found.other)));
    check("gateway", isUp, isUp ? `answers on port ${port}` : `nothing answers on port ${port}. Start it with: openclaw gateway run`);
  }
  if (file !== null) {
    const { proxy, why } = dialler.choice(new URL(file.appOrigin));
    check("proxy", true, proxy === null ? PROXY_TEXT[why] : `${shownProxy(proxy)} for ${file.appOrigin}`);
    const page = await fetchServed(dialler, new URL("/", file.approveOrigin));
    const served = page === null ? null : pageHash(page);
    const built = builtPageHash();
    const { isSame, text } = judgePage({ built, served, version: VERSION, servedVersion: await servedVersion(dialler, file.appOrigin) });
    const data = { check: "approval page", ok: true, warning: !isSame, text, built, served };
    terminal.say("check", `${isSame ? "ok  " : "warn"} approval page: ${text}`, data);
  }
  check("connector", running !== null, running === null ? "not running; start it with: gatehouse run" : "running");
  if (running === null) {
    const isUnsafe = isUp && file !== null && !(await lookAtOpenclaw(file.origin, check, notLocalCure(files.dir, file.appOrigin)));
    return isUnsafe ? EXIT.unsafe : failures === 0 ? EXIT.done : EXIT.failed;
  }
  const isLinked = running.link === "up";
  const why = running.linkProblem === null ? "" : ` (${running.linkProblem})`;
  const away = `no connection to ${file?.appOrigin ?? "the control plane"}${why}; the connector keeps trying. Check this machine's network`;
  check("link", isLinked, isLinked ? `connected to ${file?.appOrigin ?? ""}` : away);
  check("lock", running.alarm === null, running.alarm === null ? `${running.head.seq + 1} entries, no alarm` : `alarm: ${running.alarm}. \`gatehouse access-list\` says why`); // prettier-ignore
  const disk = running.machine.find((fault) => fault !== "shared-user");
  check("disk", disk === undefined, disk === undefined ? `${files.dir} takes writes` : `${disk}: ${machineText(disk, files.dir)}`);
  const report = running.openclaw;
  const isSafe = report.state === "online";
  const { settings } = report;
  const waits =
    settings === undefined ? undefined : `apply them in the connector's terminal or on the gateway's page:\n${diffText(settings.lines)}`;
  const notLocal = report.reason === "not-local" ? notLocalCure(files.dir, file?.appOrigin ?? null) : undefined;
  const cure = waits ?? notLocal ?? CURE[report.reason ?? ""] ?? "not finished yet; try again in a few seconds";
  check("self-test", isSafe, isSafe ? `OpenClaw ${report.version ?? ""} does not let a remote stranger in` : `${report.state}: ${cure}`);
  await showHops(files.dir, terminal);
  if (failures === 0) return EXIT.done;
  return report.state === "unsafe" || report.state === "needs-settings" ? EXIT.unsafe : EXIT.failed;
}

/** What the running connector measures now. One of an older version knows no hops: nothing is shown. */
async function showHops(dir: string, terminal: Options["terminal"]): Promise<void> {
  const answer: { readonly hops?: readonly HopLine[] } | null = await askRunning(dir, { ask: "hops" });
  for (const { hop, state, median, text } of answer?.hops ?? []) terminal.say("hop", `hop  ${hop}: ${text}`, { hop, state, median, text });
}

/** @returns null when OpenClaw shows its settings only to local clients, and this is none */
function ownersOnly(error: unknown): null {
  if (isNotLocal(error)) return null;
  throw error;
}

type Check = (name: string, isGood: boolean, text: string) => void;

/** Without a connector to ask: whether the secret is the gateway's, and whether its settings are those that it needs. @returns whether they are */
async function lookAtOpenclaw(origin: string, check: Check, notLocal: string): Promise<boolean> {
  const seen = await withGateway(process.env, { withinMs: LOOK_WITHIN_MS, isPatient: false }, async (leg, version) => {
    const config = await readConfig(leg).then((read) => read.config, ownersOnly);
    return { version, isLocal: config !== null, isSound: isSoundAuthMode(config), missing: planSettings(config, origin) };
  });
  if (!("value" in seen)) {
    check("openclaw", false, CURE[seen.why] ?? "it starts or restarts; try again in a few seconds");
    return true;
  }
  const { version, isLocal, isSound, missing } = seen.value;
  if (!isLocal) {
    check("openclaw", false, notLocal);
    return false;
  }
  const isNew = mayBeProbed(version);
  const hint = isKnownToServe(version) ? "" : `. It is older than ${MIN_OPENCLAW_VERSION}: the probe at the start of the connector decides`;
  check(
    "openclaw",
    isNew && isSound,
    isNew ? (isSound ? `version ${version} takes the secret${hint}` : AUTH_MODE_CURE) : (CURE["too-old"] ?? ""),
  );
  const isSet = missing.length === 0;
  check("settings", isSet, isSet ? "as they must be" : `${CURE["settings-missing"] ?? ""}:\n${settingsDiff(missing)}`);
  return isNew && isSound && isSet;
}

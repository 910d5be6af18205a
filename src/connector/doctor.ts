/** `gatehouse doctor`: one check after another, each with its cure. */
import { builtPageHash, fetchServed, judgePage, pageHash, servedVersion } from "./approval-page.ts";
import { EXIT } from "./exit-codes.ts";
import { askRunning } from "./local-control.ts";
import { DiscoverError, discoverGateway } from "./openclaw/discover.ts";
import type { Discovered } from "./openclaw/discover.ts";
import { AUTH_MODE_CURE } from "./openclaw/settings.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";

/** What to do about each reason that a connector reports; see `gatewayReportSchema`. */
const CURE: Readonly<Record<string, string>> = {
  "not-running": "OpenClaw does not answer as it should. Look at its own log, then restart it",
  "too-old": "update OpenClaw to 2026.8.1 or newer: older ones do not tell strangers from local users",
  "settings-missing": "run `gatehouse run --yes` to apply the settings it needs",
  "settings-refused": "run `gatehouse run --yes` to apply the settings it needs",
  "stranger-admitted":
    "a stranger would be let in: gateway.auth.mode must be token or password, gateway.nodes.pairing.autoApproveLocal false; then remove devices that were paired silently (openclaw devices list)",
  "auth-mode": AUTH_MODE_CURE,
  "auth-failed": "the secret is wrong: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
  "no-secret": "no secret was found: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
};

interface RunningStatus {
  readonly link?: string;
  readonly openclaw?: { readonly state?: string; readonly reason?: string; readonly version?: string };
}

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
export async function doctor({ terminal, files }: Options): Promise<number> {
  let failures = 0;
  const check = (name: string, isGood: boolean, text: string): void => {
    if (!isGood) failures += 1;
    terminal.say("check", `${isGood ? "ok  " : "FAIL"} ${name}: ${text}`, { check: name, ok: isGood, text });
  };
  const file = files.read("gateway");
  check("enrolled", file !== null, file === null ? "run `gatehouse up <code>`" : file.origin);
  const found = discovered();
  if (typeof found === "string") check("gateway", false, found);
  else {
    check("secret", found.secret !== null, found.secretSource);
    const { host, port } = found.target;
    const answer = await fetch(`http://${host.includes(":") ? `[${host}]` : host}:${port}/healthz`).catch(() => null);
    const isUp = answer?.ok === true;
    check("gateway", isUp, isUp ? `answers on port ${port}` : `nothing answers on port ${port}. Start it with: openclaw gateway run`);
  }
  const running: RunningStatus | null = await askRunning(files.dir, { ask: "status" });
  check("connector", running !== null, running === null ? "not running; start it with: gatehouse run" : "running");
  if (running !== null) {
    const isLinked = running.link === "up";
    const away = `no connection to ${file?.appOrigin ?? "the control plane"}; the connector keeps trying. Check this machine's network`;
    check("link", isLinked, isLinked ? `connected to ${file?.appOrigin ?? ""}` : away);
  }
  const report = running?.openclaw;
  if (report !== undefined) {
    const isSafe = report.state === "online";
    const cure = CURE[report.reason ?? ""] ?? "not finished yet; try again in a few seconds";
    check(
      "self-test",
      isSafe,
      isSafe ? `OpenClaw ${report.version ?? ""} does not let a remote stranger in` : `${report.state ?? ""}: ${cure}`,
    );
  }
  if (file !== null) {
    const page = await fetchServed(new URL("/", file.approveOrigin));
    const served = page === null ? null : pageHash(page);
    const built = builtPageHash();
    const { isSame, text } = judgePage({ built, served, version: VERSION, servedVersion: await servedVersion(file.appOrigin) });
    const data = { check: "approval page", ok: true, warning: !isSame, text, built, served };
    terminal.say("check", `${isSame ? "ok  " : "warn"} approval page: ${text}`, data);
  }
  if (failures === 0) return EXIT.done;
  return report?.state === "unsafe" ? EXIT.unsafe : EXIT.failed;
}

/** The `gatehouse` command: reads the command line and hands over. */
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { audit } from "./audit-commands.ts";
import { doctor } from "./doctor.ts";
import { ControlPlaneError } from "./enrol.ts";
import { EXIT } from "./exit-codes.ts";
import { HELP } from "./help.ts";
import { cut, devices, status } from "./host-commands.ts";
import { install, uninstall } from "./install.ts";
import { LogWriteError } from "./key-log-file.ts";
import { confirm, lock, policy, reset, revokeAll } from "./lock-commands.ts";
import { owners } from "./owner-commands.ts";
import { DiscoverError } from "./openclaw/discover.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";
import { serve, up } from "./serve.ts";
import { DamagedStateError, StateFiles } from "./state-files.ts";
import { Terminal } from "./terminal.ts";

function bakedOrigin(): string | undefined {
  const file = path.join(import.meta.dirname, "origin.json");
  if (!existsSync(file)) return undefined;
  const value = JSON.parse(readFileSync(file, "utf8")) as { appOrigin?: unknown };
  return typeof value.appOrigin === "string" ? value.appOrigin : undefined;
}

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      state: { type: "string" },
      app: { type: "string" },
      "check-words": { type: "string" },
      yes: { type: "boolean", short: "y" },
      json: { type: "boolean" },
      all: { type: "boolean" },
      "max-access": { type: "string" },
      "max-days": { type: "string" },
      confirm: { type: "string" },
      head: { type: "string" },
      help: { type: "boolean", short: "h" },
      version: { type: "boolean", short: "v" },
    },
  });
  const { values, positionals } = parsed;
  const terminal = new Terminal({ json: values.json === true });
  const [command, argument, more] = positionals;
  if (values.version === true) {
    terminal.say("version", VERSION, { version: VERSION });
    return EXIT.done;
  }
  if (values.help === true || command === undefined) {
    terminal.say("help", HELP, { help: HELP });
    return command === undefined && values.help !== true ? EXIT.usage : EXIT.done;
  }
  const commands: Readonly<Record<string, (options: Options) => Promise<number> | number>> = {
    up: (options) => up(options, argument),
    run: serve,
    status,
    doctor,
    devices,
    cut: (options) => cut(options, argument),
    revoke: (options) => (values.all === true ? revokeAll(options) : cut(options, argument)),
    owners: (options) => owners(options, positionals.slice(1), { maxAccess: values["max-access"], maxDays: values["max-days"] }),
    policy: (options) => policy(options, { maxAccess: values["max-access"], maxDays: values["max-days"], confirm: values.confirm }),
    confirm: (options) => confirm(options, argument),
    lock: (options) => lock(options, argument, more),
    audit: (options) => audit(options, argument, more, values.head),
    reset,
    install,
    uninstall,
  };
  const run = commands[command];
  if (run === undefined) {
    terminal.fail("usage", `Unknown command "${command}". See gatehouse --help.`);
    return EXIT.usage;
  }
  const files = new StateFiles(values.state ?? process.env["GATEHOUSE_STATE"] ?? path.join(os.homedir(), ".gatehouse"));
  const app = values.app ?? process.env["GATEHOUSE_APP_ORIGIN"] ?? bakedOrigin();
  try {
    return await run({ terminal, files, app, checkWords: values["check-words"], yes: values.yes === true });
  } catch (error) {
    if (error instanceof ControlPlaneError) {
      terminal.fail(error.code, error.message);
      return error.code === "needs-confirmation" ? EXIT.needsConfirmation : error.code === "usage" ? EXIT.usage : EXIT.refused;
    }
    if (error instanceof DamagedStateError || error instanceof DiscoverError || error instanceof LogWriteError) {
      terminal.fail("state", error.message);
      return EXIT.failed;
    }
    terminal.fail("failed", error instanceof Error ? error.message : "Something went wrong.");
    return EXIT.failed;
  }
}

const argv = process.argv.slice(2);
try {
  process.exitCode = await main(argv);
} catch (error) {
  const what = error instanceof Error ? error.message : "Wrong usage.";
  new Terminal({ json: argv.includes("--json") }).fail("usage", `${what}\nSee gatehouse --help.`);
  process.exitCode = EXIT.usage;
}

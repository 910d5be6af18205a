/** The `gatehouse` command: reads the command line and hands over. */
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { ProxyAddressError, readProxySettings } from "./outbound-proxy.ts";
import { audit } from "./audit-commands.ts";
import { Dialler } from "./dialler.ts";
import { doctor } from "./doctor.ts";
import { ControlPlaneError } from "./enrol.ts";
import { EXIT } from "./exit-codes.ts";
import { COMMANDS, HELP, OPTIONS, commandHelp, isCommand, optionsOf, usageOf } from "./help.ts";
import type { CommandName, OptionName } from "./help.ts";
import { cut, devices, status } from "./host-commands.ts";
import { install, uninstall } from "./install.ts";
import { LogWriteError } from "./key-log-file.ts";
import { lock, policy, reset, revokeAll, rotateKey } from "./lock-commands.ts";
import { owners } from "./owner-commands.ts";
import { receipt } from "./receipt-commands.ts";
import { DiscoverError } from "./openclaw/discover.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";
import { serve, up } from "./serve.ts";
import { DamagedStateError, StateFiles } from "./state-files.ts";
import { MAX_STATE_PATH_BYTES } from "./state-lock.ts";
import { Terminal } from "./terminal.ts";

function bakedOrigin(): string | undefined {
  const file = path.join(import.meta.dirname, "origin.json");
  if (!existsSync(file)) return undefined;
  const value = JSON.parse(readFileSync(file, "utf8")) as { appOrigin?: unknown };
  return typeof value.appOrigin === "string" ? value.appOrigin : undefined;
}

/** Of the codes that a control plane, or the way to it, answers with; any other is a refusal. */
const EXIT_OF: Readonly<Record<string, number>> = {
  "needs-confirmation": EXIT.needsConfirmation,
  usage: EXIT.usage,
  unreachable: EXIT.failed,
  internal: EXIT.failed,
};

/** Wrong usage: says what is wrong, then how it is written. */
class UsageError extends Error {
  override name = "UsageError";
}

function read(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    // Node's own text goes on with advice about how to pass such a word on; the first sentence is what people need.
    const text = error instanceof Error ? (error.message.split(". ", 1)[0] ?? "") : "";
    throw new UsageError(`${text.replace(/\.$/, "")}. See gatehouse --help.`);
  }
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = read(argv);
  const terminal = new Terminal({ json: values.json === true });
  const [command, argument, more] = positionals;
  if (values.version === true) {
    terminal.say("version", VERSION, { version: VERSION });
    return EXIT.done;
  }
  if (command === undefined) {
    if (values.help === true) terminal.say("help", HELP, { help: HELP });
    else terminal.fail("usage", HELP);
    return values.help === true ? EXIT.done : EXIT.usage;
  }
  if (!isCommand(command)) throw new UsageError(`Unknown command "${command}". See gatehouse --help.`);
  if (values.help === true) {
    const help = commandHelp(command);
    terminal.say("help", help, { help });
    return EXIT.done;
  }
  const foreign = (Object.keys(values) as OptionName[]).find((option) => !optionsOf(command).includes(option));
  if (foreign !== undefined) throw new UsageError(`gatehouse ${command} takes no --${foreign}. Write: ${usageOf(command)}`);
  if (positionals.length - 1 > COMMANDS[command].words)
    throw new UsageError(`"${positionals.at(-1) ?? ""}" is one word too many. Write: ${usageOf(command)}`);
  if (command === "revoke" && values.all === true && argument !== undefined)
    throw new UsageError(`Either one device or --all. Write: ${usageOf(command)}`);
  const commands: Readonly<Record<CommandName, (options: Options) => Promise<number> | number>> = {
    up: (options) => up(options, argument),
    run: serve,
    status,
    doctor,
    devices,
    cut: (options) => cut(options, argument),
    revoke: (options) => (values.all === true ? revokeAll(options) : cut(options, argument)),
    owners: (options) => owners(options, positionals.slice(1), { maxAccess: values["max-access"], maxDays: values["max-days"] }),
    policy: (options) => policy(options, { maxAccess: values["max-access"], maxDays: values["max-days"] }),
    lock: (options) => lock(options, argument, more),
    audit: (options) => audit(options, argument, more, values.head),
    receipt: (options) => receipt(options, argument, more, values.log),
    "rotate-key": rotateKey,
    reset,
    install,
    uninstall,
  };
  const run = commands[command];
  const files = new StateFiles(values.state ?? process.env["GATEHOUSE_STATE"] ?? path.join(os.homedir(), ".gatehouse"));
  const pathBytes = Buffer.byteLength(files.dir);
  if (pathBytes > MAX_STATE_PATH_BYTES)
    throw new UsageError(
      `The path of the state folder has ${pathBytes} bytes, and sockets in it allow ${MAX_STATE_PATH_BYTES}. Name a shorter one with --state <dir> or GATEHOUSE_STATE.`,
    );
  const app = values.app ?? process.env["GATEHOUSE_APP_ORIGIN"] ?? bakedOrigin();
  try {
    return await run({
      terminal,
      files,
      dialler: new Dialler(readProxySettings(process.env, values.proxy)),
      app,
      checkWords: values["check-words"],
      yes: values.yes === true,
      metrics: values.metrics ?? process.env["GATEHOUSE_METRICS"],
      standby: values.standby === true,
    });
  } catch (error) {
    if (error instanceof ProxyAddressError) throw new UsageError(error.message);
    if (error instanceof ControlPlaneError) {
      terminal.fail(error.code, error.message);
      return EXIT_OF[error.code] ?? EXIT.refused;
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
  const terminal = new Terminal({ json: argv.includes("--json") });
  const text = error instanceof Error ? error.message : "Something went wrong.";
  terminal.fail(error instanceof UsageError ? "usage" : "failed", text);
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

/** Runs one command line: reads it by the table of commands, and hands over. */
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { history } from "./audit-commands.ts";
import { listBlocked, unblock } from "./block-commands.ts";
import { readCommandLine, UsageError } from "./command-line.ts";
import type { CommandLine } from "./command-line.ts";
import { commandOf } from "./commands.ts";
import type { CommandName } from "./commands.ts";
import { completionScript } from "./completion.ts";
import { commandHelp, overview } from "./help.ts";
import { programText } from "./program.ts";
import { Dialler } from "../network/dialler.ts";
import { ProxyAddressError, readProxySettings } from "../network/outbound-proxy.ts";
import { cut, devices } from "./device-commands.ts";
import { doctor } from "./doctor.ts";
import { ControlPlaneError } from "../trust/enrol.ts";
import { EXIT, exitOfControlPlane } from "../exit-codes.ts";
import { NOT_ENROLLED, status } from "./host-commands.ts";
import { install } from "./install.ts";
import { logs } from "./log-command.ts";
import { uninstall } from "./uninstall.ts";
import { LogWriteError, keyLogPath } from "../trust/key-log-file.ts";
import { accessList, policy, reset, rotateKey } from "./lock-commands.ts";
import { owners } from "./owner-commands.ts";
import { diskErrorText } from "./machine-texts.ts";
import { receipt } from "./receipt-commands.ts";
import { chooseProfile } from "./profile-question.ts";
import { SeveralProfilesError } from "../openclaw/config-file.ts";
import { DiscoverError } from "../openclaw/discover.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";
import { restore } from "./restore-command.ts";
import { rotateSecretHere } from "./rotate-secret-command.ts";
import { serve, up } from "./serve.ts";
import { DamagedStateError, StateFiles } from "../state/state-files.ts";
import { StateFolderError } from "../state/state-folder.ts";
import { MAX_STATE_PATH_BYTES } from "../state/state-lock.ts";
import { Terminal } from "./terminal.ts";

type Line = Extract<CommandLine, { readonly do: "run" }>;

/** Who runs a command line, and where. */
export interface Caller {
  readonly env: NodeJS.ProcessEnv;
  /** As `process.argv[1]`. */
  readonly script: string;
  /** Where this program's files lie. */
  readonly folder: string;
}

/** @returns the control plane that this program came from */
function bakedOrigin(folder: string): string | undefined {
  const file = path.join(folder, "origin.json");
  if (!existsSync(file)) return undefined;
  const value = JSON.parse(readFileSync(file, "utf8")) as { appOrigin?: unknown };
  return typeof value.appOrigin === "string" ? value.appOrigin : undefined;
}

/** A variable; an empty one is unset. */
function variable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] === "" ? undefined : env[name];
}

/** What each command does with its words and options. */
const RUN: Readonly<Record<Exclude<CommandName, "help" | "completion">, (options: Options, line: Line) => Promise<number> | number>> = {
  up: (options, { words }) => up(options, words[0]),
  run: (options) => serve(options),
  status: (options, { values }) => status(options, values.check === true),
  doctor: (options) => doctor(options),
  devices: (options, { values }) => (values.blocked === true ? listBlocked(options) : devices(options)),
  unblock: (options, { words }) => unblock(options, words[0] ?? ""),
  cut: (options, { words, values }) => cut(options, words[0], values.all === true),
  owners: (options, { action, words, values }) =>
    owners(options, [action ?? "list", ...words], { maxAccess: values["max-access"], maxDays: values["max-days"] }),
  policy: (options, { values }) => policy(options, { maxAccess: values["max-access"], maxDays: values["max-days"] }),
  "access-list": (options, { action, words }) => accessList(options, action, words[0]),
  history: (options, { words, values }) => history(options, words[0], values.head),
  receipt: (options, { words, values }) => receipt(options, words[0] ?? "", values.log),
  "rotate-key": (options) => rotateKey(options),
  "rotate-secret": (options) => rotateSecretHere(options),
  restore: (options, { words }) => restore(options, words[0] ?? ""),
  install: (options, { values }) => {
    const { system, user, print, proxy } = values;
    if (system === true && user === true) throw new UsageError("Either --system or --user.");
    return install(options, { kind: user === true ? "user" : "system", print: print === true, proxy });
  },
  logs: (options, { values }) => logs(options, values.follow === true),
  uninstall: (options) => uninstall(options),
  reset: (options) => reset(options),
};

/** What sets OpenClaw up or serves it; other commands only say which profiles there are. */
const ASKS_FOR_PROFILE: ReadonlySet<CommandName> = new Set(["up", "run", "install"]);

/**
 * Runs a command line to its end, and prints what it has to say.
 *
 * @returns the exit code; throws nothing that a person can do something about
 */
export async function runCommandLine(argv: readonly string[], caller: Caller): Promise<number> {
  const terminal = new Terminal({ json: argv.includes("--json") });
  const { env, script } = caller;
  const programFor = (state?: string): string => programText({ script, node: process.execPath, path: env["PATH"] ?? "", state });
  terminal.program = programFor();
  terminal.programFor = programFor;
  try {
    const line = readCommandLine(argv);
    if (line.do === "version") {
      terminal.print("version", VERSION, { version: VERSION });
      return EXIT.done;
    }
    if (line.do === "overview") {
      terminal.fail("usage", overview());
      return EXIT.usage;
    }
    if (line.do === "help") {
      const help = line.command === null ? overview() : commandHelp(line.command);
      terminal.print("help", help, { help });
      return EXIT.done;
    }
    if (line.command === "completion") {
      const script = completionScript(line.words[0] ?? "");
      terminal.print("completion", script.trimEnd(), { script });
      return EXIT.done;
    }
    terminal.program = programFor(line.values.state);
    return await runCommand(terminal, line, caller);
  } catch (error) {
    return said(terminal, error);
  }
}

/** @throws StateFolderError when this user has none: no passwd entry, and no HOME */
function homeFolder(): string {
  let home = "";
  try {
    home = os.homedir();
  } catch {
    // Said below.
  }
  if (!path.isAbsolute(home)) throw new StateFolderError("This user has no home folder. Name a state folder with --state <folder> or GATEHOUSE_STATE."); // prettier-ignore
  return home;
}

async function runCommand(terminal: Terminal, line: Line, { env, folder }: Caller): Promise<number> {
  const { values, command } = line;
  const files = new StateFiles(values.state ?? variable(env, "GATEHOUSE_STATE") ?? path.join(homeFolder(), ".gatehouse"));
  const pathBytes = Buffer.byteLength(files.dir);
  if (pathBytes > MAX_STATE_PATH_BYTES)
    throw new UsageError(
      `The path of the state folder has ${pathBytes} bytes, and sockets in it allow ${MAX_STATE_PATH_BYTES}. Name a shorter one with --state <folder> or GATEHOUSE_STATE.`,
    );
  // Each option stands for a variable, wherever a command looks for OpenClaw.
  if (values["openclaw-url"] !== undefined) env["OPENCLAW_URL"] = values["openclaw-url"];
  if (values["openclaw-config"] !== undefined) env["OPENCLAW_CONFIG_PATH"] = values["openclaw-config"];
  const { isForEnrolled, actions } = commandOf(command);
  const isNeeded = isForEnrolled ?? actions?.[line.action ?? ""]?.isForEnrolled ?? false;
  if (values.add === true && values.replace === true) throw new UsageError("Write --add or --replace, not both.");
  if (isNeeded && !isEnrolled(files)) {
    terminal.fail("not-enrolled", NOT_ENROLLED);
    return EXIT.failed;
  }
  terminal.logging = {
    isJson: terminal.isJson || values["log-format"] === "json",
    from: values.verbose === true ? "debug" : values.quiet === true ? "warn" : "info",
  };
  const options: Options = {
    terminal,
    files,
    dialler: new Dialler(readProxySettings(env, values.proxy)),
    app: values.app ?? variable(env, "GATEHOUSE_APP_ORIGIN") ?? bakedOrigin(folder),
    checkWords: values["check-words"],
    yes: values.yes === true,
    metrics: values.metrics ?? variable(env, "GATEHOUSE_METRICS"),
    standby: values.standby === true,
    second: values.add === true ? "add" : values.replace === true ? "replace" : undefined,
    codeFile: variable(env, "GATEHOUSE_CODE_FILE"),
  };
  // Before anything is written or sent.
  if (ASKS_FOR_PROFILE.has(command)) await chooseProfile(env, terminal);
  try {
    return await RUN[command as keyof typeof RUN](options, line);
  } catch (error) {
    const disk = diskErrorText(error instanceof LogWriteError ? error.cause : error, files.dir);
    if (disk === null) throw error;
    terminal.fail(disk.event, disk.text);
    return EXIT.failed;
  }
}

/** Whether something of an enrolment is here; a part that is missing is damage, and said by who needs it. */
function isEnrolled(files: StateFiles): boolean {
  return files.read("gateway") !== null || existsSync(keyLogPath(files));
}

/** Says what went wrong. @returns the exit code */
function said(terminal: Terminal, error: unknown): number {
  if (error instanceof UsageError || error instanceof ProxyAddressError) {
    terminal.fail("usage", error.message);
    return EXIT.usage;
  }
  if (error instanceof ControlPlaneError) {
    terminal.fail(error.code, error.message);
    return exitOfControlPlane(error.code);
  }
  if (error instanceof SeveralProfilesError) {
    terminal.fail("several-profiles", error.message, { profiles: error.profiles });
    return EXIT.needsConfirmation;
  }
  const isState =
    error instanceof DamagedStateError ||
    error instanceof StateFolderError ||
    error instanceof DiscoverError ||
    error instanceof LogWriteError;
  terminal.fail(isState ? "state" : "failed", error instanceof Error ? error.message : "Something went wrong.");
  return EXIT.failed;
}

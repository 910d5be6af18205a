/** The commands of `gatehouse`: what each takes, and the texts of `--help`. */

/** Options as `parseArgs` of node:util reads them. */
export const OPTIONS = {
  state: { type: "string" },
  app: { type: "string" },
  "check-words": { type: "string" },
  yes: { type: "boolean", short: "y" },
  standby: { type: "boolean" },
  json: { type: "boolean" },
  all: { type: "boolean" },
  "max-access": { type: "string" },
  "max-days": { type: "string" },
  head: { type: "string" },
  log: { type: "string" },
  metrics: { type: "string" },
  proxy: { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;
export type OptionName = keyof typeof OPTIONS;

interface Command {
  /** What follows the name, for people. */
  readonly usage: string;
  /** One line of the overview. */
  readonly brief: string;
  /** More, for `gatehouse <command> --help`. */
  readonly more?: string;
  /** Words after the name at most. */
  readonly words: number;
  /** Besides those that every command takes. */
  readonly options: readonly OptionName[];
  readonly group: "connect" | "decide" | "machine";
}

const EVERYWHERE: readonly OptionName[] = ["state", "json", "help", "version"];

export const COMMANDS = {
  up: {
    usage: "[code]",
    brief: "enrol this machine if needed, then keep the connection (Ctrl-C ends it); without a code it prints a claim link",
    more: `The words that it shows must be those on the page. Without a terminal it stops with exit code 3; look at the page and run
  gatehouse up --check-words "<words on the page>"`,
    words: 1,
    options: ["app", "check-words", "yes", "metrics", "proxy"],
    group: "connect",
  },
  run: {
    usage: "",
    brief: "keep the connection of a machine that is enrolled",
    more: `With --standby a second process waits beside the first one, on the same state folder, and takes over when that one ends or is killed. Never
copy the folder for this: two copies fight (4414). With --metrics it serves numbers about the connection at /metrics, in Prometheus's text format;
they name nobody.`,
    words: 0,
    options: ["app", "metrics", "proxy", "standby", "yes"],
    group: "connect",
  },
  status: { usage: "", brief: "how the running connector stands", words: 0, options: [], group: "connect" },
  doctor: {
    usage: "",
    brief: "check gateway, secret, settings, connection and the approval page, with a cure for what is wrong",
    more: "Also shows the hops that this machine sees, with the median of some round trips. Changes nothing. Exit code 5: OpenClaw is not safe to serve; 1: something else is wrong.",
    words: 0,
    options: ["proxy"],
    group: "connect",
  },
  devices: { usage: "", brief: "devices that this machine admits", words: 0, options: [], group: "decide" },
  cut: {
    usage: "<device>",
    brief: "end a device's access here and now, without any network",
    more: "gatehouse devices lists the devices.",
    words: 1,
    options: [],
    group: "decide",
  },
  revoke: {
    usage: "<device> | --all",
    brief: "the same; with --all for every device",
    words: 1,
    options: ["all"],
    group: "decide",
  },
  owners: {
    usage: "[list | add <passkey> [<role>] | role <passkey> <role> | remove <passkey> | remove recovery-key]",
    brief: "passkeys that may decide for this gateway, and the recovery key",
    more: `add takes the word that your account page shows, and asks whether twelve words are the same there; without a terminal run it again with
  --check-words "<words on the page>"
role is owner, or approver --max-access full|chat|look --max-days <days>, 0.04 to 90: an approver decides about devices up to that, never about keys.
For role and remove the beginning of a passkey's id is enough. The last owner stays.`,
    words: 3,
    options: ["check-words", "max-access", "max-days"],
    group: "decide",
  },
  policy: {
    usage: "[--max-access <access>] [--max-days <days>]",
    brief: "what remote approval may give at most",
    more: `--max-access full|chat|look   the widest access that the owner can give from elsewhere
--max-days <days>             the longest, up to 90`,
    words: 0,
    options: ["max-access", "max-days"],
    group: "decide",
  },
  lock: {
    usage: "[show | verify [file] | resume]",
    brief: "the key log: what it says, whether it verifies; resume after an alarm",
    more: "verify needs neither network nor state: it checks an exported copy, too.",
    words: 2,
    options: [],
    group: "decide",
  },
  audit: {
    usage: "[head | verify <file>]",
    brief: "the audit chain's head that is anchored here; verify checks an export",
    more: "--head <seq>:<hash>   the entry that the export must hold, when it is checked on another machine",
    words: 2,
    options: ["head"],
    group: "decide",
  },
  receipt: {
    usage: "verify <file>",
    brief: "check the exported receipt of a cut, offline",
    more: "--log <file>   a key log to compare it with; else this machine's own, when there is one",
    words: 2,
    options: ["log"],
    group: "decide",
  },
  "rotate-key": {
    usage: "",
    brief: "replace this machine's key; connections and devices stay",
    more: "Run it when somebody else may have read the state folder. A copy of the old key is then refused.",
    words: 0,
    options: [],
    group: "machine",
  },
  install: {
    usage: "",
    brief: "print how to start the connector with the machine; changes nothing",
    words: 0,
    options: [],
    group: "machine",
  },
  uninstall: {
    usage: "",
    brief: "put OpenClaw's settings back and remove this machine's state",
    words: 0,
    options: ["yes"],
    group: "machine",
  },
  reset: {
    usage: "",
    brief: "forget gateway, owners and devices; it has to be claimed again",
    words: 0,
    options: ["yes"],
    group: "machine",
  },
} as const satisfies Readonly<Record<string, Command>>;
export type CommandName = keyof typeof COMMANDS;

const OPTION_TEXTS: Readonly<Record<OptionName, string>> = {
  state: "--state <dir>    state folder (GATEHOUSE_STATE, else ~/.gatehouse)",
  app: "--app <origin>   control plane (GATEHOUSE_APP_ORIGIN, else the one this program came from)",
  "check-words": '--check-words "<words>"   confirm without a terminal: the words must match',
  standby: "--standby        wait beside the connector that runs with this state folder, and take over when it ends",
  yes: "--yes            answer yes: apply or put back settings, or delete, without asking",
  json: "--json           one JSON object per line",
  all: "--all            every device",
  "max-access": "--max-access full|chat|look",
  "max-days": "--max-days <days>",
  head: "--head <seq>:<hash>",
  log: "--log <file>",
  metrics: "--metrics [host:]<port>   metrics for Prometheus (GATEHOUSE_METRICS); without a host on 127.0.0.1, without it nowhere",
  proxy: "--proxy <url>    HTTP proxy to the control plane (HTTPS_PROXY, HTTP_PROXY, NO_PROXY); loopback is always direct",
  help: "--help",
  version: "--version",
};

const ENVIRONMENT =
  "Environment: OPENCLAW_URL (ws://127.0.0.1:18789), OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD (else OpenClaw's own config)";

const EXIT_TEXT = `Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waits for a yes (--check-words, --yes), 4 refused by the control plane,
            5 gateway not safe to serve, 6 another connector took over`;

/** @returns whether this is a command */
export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/** @returns the options that a command takes */
export function optionsOf(name: CommandName): readonly OptionName[] {
  return [...COMMANDS[name].options, ...EVERYWHERE];
}

/** @returns one line: how a command is written */
export function usageOf(name: CommandName): string {
  return `gatehouse ${name} ${COMMANDS[name].usage}`.trim();
}

/** @returns the text of `gatehouse <command> --help` */
export function commandHelp(name: CommandName): string {
  const { brief, ...rest }: Command = COMMANDS[name];
  const options = optionsOf(name).map((option) => `  ${OPTION_TEXTS[option]}`);
  const more = rest.more === undefined ? "" : `\n\n${rest.more}`;
  return `Usage: ${usageOf(name)} [options]\n\n${brief[0]?.toUpperCase() ?? ""}${brief.slice(1)}.${more}\n\n${options.join("\n")}\n\n${EXIT_TEXT}`;
}

function group(name: Command["group"]): string {
  const lines = (Object.keys(COMMANDS) as CommandName[]).filter((each) => COMMANDS[each].group === name);
  return lines.map((each) => `  ${each.padEnd(11)} ${COMMANDS[each].brief}`).join("\n");
}

/** The text of `gatehouse --help`. */
export const HELP = `gatehouse: reach this machine's OpenClaw gateway from anywhere, behind NAT

Usage: gatehouse <command> [options]

${group("connect")}

${group("decide")}

${group("machine")}

  ${OPTION_TEXTS.state}
  ${OPTION_TEXTS.json}
  ${OPTION_TEXTS.help}           also after a command: what it takes
  ${OPTION_TEXTS.version}

${ENVIRONMENT}

${EXIT_TEXT}`;

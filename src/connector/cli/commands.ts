/** The commands of `gatehouse`. Help, usage errors, completion and docs/cli.md all come from this table. */
import { ACCESS_LEVELS } from "../../protocol/words.ts";

export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** What follows it, for people; its name in `<>`. */
  readonly value?: string;
  /** The only values that it takes. */
  readonly choices?: readonly string[];
  /** Smallest and largest value of a number in plain decimals. */
  readonly range?: readonly [number, number];
  readonly text: string;
}

export const OPTIONS = {
  state: { type: "string", value: "folder", text: "The state folder." },
  app: { type: "string", value: "origin", text: "Your Gatehouse, as https://…" },
  "check-words": { type: "string", value: "words", text: "Confirm without a terminal: the words on the page." },
  yes: { type: "boolean", short: "y", text: "Answer every question with yes." },
  standby: { type: "boolean", text: "Wait beside the running connector, and take over when it ends." },
  metrics: { type: "string", value: "[host:]port", text: "Serve /metrics and /healthz there; without a host on 127.0.0.1." },
  check: { type: "boolean", text: "Exit with 0 only when connected and served." },
  proxy: { type: "string", value: "url", text: "HTTP proxy to the control plane; loopback is always direct." },
  "openclaw-url": { type: "string", value: "address", text: "Where OpenClaw listens." },
  "openclaw-config": { type: "string", value: "file", text: "OpenClaw's config file." },
  add: { type: "boolean", text: "Serve the new gateway beside the one that is here." },
  replace: { type: "boolean", text: "Give up the gateway that is here for the new one." },
  all: { type: "boolean", text: "Every device." },
  blocked: { type: "boolean", text: "Devices that may not ask, as Gatehouse keeps them." },
  "max-access": { type: "string", value: "access", choices: ACCESS_LEVELS, text: "The widest access." },
  "max-days": { type: "string", value: "days", range: [0.04, 90], text: "The longest time." },
  head: { type: "string", value: "seq:hash", text: "The entry that the file must hold." },
  log: { type: "string", value: "file", text: "The access list to compare with." },
  system: { type: "boolean", text: "A service with an OS user of its own (the default; needs root)." },
  user: { type: "boolean", text: "A service of your own user, without root." },
  print: { type: "boolean", text: "Print the service's unit; change nothing." },
  follow: { type: "boolean", short: "f", text: "Go on with what comes." },
  "log-format": { type: "string", value: "format", choices: ["text", "json"], text: "How log lines are written." },
  quiet: { type: "boolean", text: "Log only warnings and errors." },
  verbose: { type: "boolean", text: "Log every try, too." },
  json: { type: "boolean", text: "Print one JSON object per line." },
  help: { type: "boolean", short: "h", text: "Say what a command does." },
  version: { type: "boolean", short: "V", text: "Print the version." },
} as const satisfies Readonly<Record<string, OptionSpec>>;
export type OptionName = keyof typeof OPTIONS;

/** One word behind a command. */
export interface Word {
  readonly name: string;
  readonly choices?: readonly string[];
  readonly isOptional?: true;
}

export interface Action {
  readonly words?: readonly Word[];
  /** Besides those that every command takes. */
  readonly options?: readonly OptionName[];
  readonly text: string;
  /** Says "not enrolled yet" on a machine that belongs to no gateway. */
  readonly isForEnrolled?: true;
}

export interface Command extends Action {
  readonly group: "connect" | "decide" | "machine" | "help";
  /** More sentences, for `gatehouse help <command>`. */
  readonly more?: string;
  readonly example: string;
  /** What the first word chooses. The first action holds where there is none, unless `isActionNeeded`. */
  readonly actions?: Readonly<Record<string, Action>>;
  readonly isActionNeeded?: true;
}

const LOGGING = ["log-format", "quiet", "verbose"] as const;
const CEILING = ["max-access", "max-days"] as const;
/** Where OpenClaw is, for commands that talk to it. */
const OPENCLAW = ["openclaw-url", "openclaw-config"] as const;
const PASSKEY = { name: "passkey" } as const;
const FILE = { name: "file" } as const;
const ROLE = { name: "role", choices: ["owner", "approver"] } as const;

export const COMMANDS = {
  up: {
    group: "connect",
    text: "Enrol this machine if needed, and keep the connection.",
    words: [{ name: "code", isOptional: true }],
    options: ["app", "check-words", "add", "replace", "yes", "metrics", "proxy", ...OPENCLAW, ...LOGGING],
    example: "up",
    more: `Without a code it prints a claim link. With - as the code it reads the code from the terminal or from stdin, where no list of processes shows it. The words that it shows must be those on the page. Without a terminal it stops with exit code 3; then run it again with the words of the page: gatehouse up --check-words "<words>" A second gateway gets a folder of its own below the state folder, and a process of its own.`,
  },
  run: {
    group: "connect",
    text: "Keep the connection of an enrolled machine.",
    options: ["app", "metrics", "proxy", "standby", "yes", ...OPENCLAW, ...LOGGING],
    example: "run --standby",
    more: "With --standby a second process waits on the same state folder and takes over when the first one ends. On a machine that is not enrolled it waits until gatehouse up has enrolled it. Never copy the folder for this: two copies push each other out.",
  },
  status: {
    group: "connect",
    text: "Show the running connector.",
    options: ["check"],
    example: "status --json",
    more: "With --check the exit code is 0 only while the gateway is connected and served, 5 while OpenClaw is not safe to serve, else 1.",
  },
  doctor: {
    group: "connect",
    text: "Check everything, with a cure for what is wrong.",
    options: ["proxy", ...OPENCLAW],
    example: "doctor",
    more: "It checks gateway, secret, settings, connection and approval page, and measures round trips. It changes nothing.",
  },
  devices: {
    group: "decide",
    text: "List the devices that this machine admits.",
    options: ["blocked"],
    example: "devices --json",
    isForEnrolled: true,
    more: "With --blocked it lists the devices that may not ask, over the connection.",
  },
  unblock: {
    group: "decide",
    text: "Let a blocked device ask again, over the connection.",
    words: [{ name: "device" }],
    example: "unblock k5tq",
    isForEnrolled: true,
    more: "It admits nobody: an owner still decides. A block ends by itself after 24 hours unless an owner made it permanent.",
  },
  cut: {
    group: "decide",
    text: "End a device's access at once, without any network.",
    words: [{ name: "device", isOptional: true }],
    options: ["all"],
    example: "cut k5tq",
    isForEnrolled: true,
  },
  owners: {
    group: "decide",
    text: "Show and change whose passkeys decide for this gateway.",
    example: "owners role AbC123 approver --max-access chat --max-days 7",
    isForEnrolled: true,
    actions: {
      list: { text: "List the passkeys and the recovery key." },
      add: {
        text: "Add the passkey that the account page shows, after twelve words.",
        words: [PASSKEY, { ...ROLE, isOptional: true }],
        options: ["check-words", ...CEILING],
      },
      role: { text: "Change what a passkey may decide.", words: [PASSKEY, ROLE], options: CEILING },
      remove: { text: "Take a passkey out, or the recovery-key.", words: [PASSKEY] },
    },
    more: "An approver decides about devices up to a ceiling, never about passkeys, and needs both --max-access and --max-days. The beginning of a passkey's id is enough. The last owner stays. A new passkey and a wider role wait for an owner's passkey.",
  },
  policy: {
    group: "decide",
    text: "Show or change the most that an approval from elsewhere gives.",
    more: "A narrower policy is in force at once. A wider one waits for an owner's passkey, or 24 hours after the owners are asked.",
    options: CEILING,
    example: "policy --max-access chat --max-days 7",
    isForEnrolled: true,
  },
  "access-list": {
    group: "decide",
    text: "Show or check the signed list of who may come in.",
    example: "access-list verify copy.jsonl",
    actions: {
      show: { text: "Say how many entries, passkeys and devices it holds.", isForEnrolled: true },
      verify: { text: "Check it, or a downloaded copy of one, offline.", words: [{ ...FILE, isOptional: true }] },
      resume: { text: "Ask to admit new devices again after an alarm.", isForEnrolled: true },
    },
  },
  history: {
    group: "decide",
    text: "Show the history's last known entry, or check a downloaded one.",
    example: "history verify history.jsonl",
    actions: {
      show: { text: "Print the last entry that this machine knows." },
      verify: { text: "Check a downloaded history offline.", words: [FILE], options: ["head"] },
    },
    more: "On another machine --head names the entry that the file must hold.",
  },
  receipt: {
    group: "decide",
    text: "Check the downloaded receipt of a cut, offline.",
    example: "receipt verify receipt.json",
    isActionNeeded: true,
    actions: { verify: { text: "Check its signature and its access list.", words: [FILE], options: ["log"] } },
    more: "It is compared with --log, or with this machine's own access list where there is one.",
  },
  "rotate-key": {
    group: "machine",
    text: "Replace this machine's key; connections and devices stay.",
    example: "rotate-key",
    isForEnrolled: true,
    more: "Run it when somebody else may have read the state folder. A copy of the old key is refused afterwards.",
  },
  "rotate-secret": {
    group: "machine",
    text: "Give OpenClaw a new secret; devices stay or come back.",
    example: "rotate-secret",
    isForEnrolled: true,
    more: "Run it when OpenClaw's token or password became known. Nobody is shown the new one.",
  },
  restore: {
    group: "machine",
    text: "Bring a machine from a backup up to date.",
    words: [FILE],
    options: ["yes"],
    example: "restore key-log.jsonl",
    isForEnrolled: true,
    more: "The file is the key log that the gateway's page downloads. It is verified, and must go on where the backup's own log ends, under the same key. Stop every other copy first. Afterwards press Let this copy in on the gateway's page, and start the connector. To move a machine, no backup is needed: stop the connector and copy its folder.",
  },
  install: {
    group: "machine",
    text: "Start the connector with the machine, as a service.",
    options: ["system", "user", "print", "app", "metrics", "proxy", "yes", ...OPENCLAW],
    example: "install --system",
    more: "It copies the program to a place that only root can change, moves this machine's state there with a new key, and starts the service with an OS user of its own. OpenClaw's programs can then not read the key. With --user they can: there the connector stays your user's.",
  },
  logs: {
    group: "machine",
    text: "Show the log of the installed service.",
    options: ["follow"],
    example: "logs --follow",
  },
  uninstall: {
    group: "machine",
    text: "Put OpenClaw's settings back, and remove service and state.",
    options: ["yes", ...OPENCLAW],
    example: "uninstall",
  },
  reset: {
    group: "machine",
    text: "Forget gateway, owners and devices; it must be claimed again.",
    options: ["yes"],
    example: "reset",
    isForEnrolled: true,
  },
  completion: {
    group: "help",
    text: "Print the completion script of a shell.",
    example: "completion bash",
    words: [{ name: "shell", choices: ["bash", "zsh"] }],
    more: "bash: put `source <(gatehouse completion bash)` into ~/.bashrc. zsh: put `source <(gatehouse completion zsh)` into ~/.zshrc, below compinit.",
  },
  help: {
    group: "help",
    text: "Say what a command does.",
    words: [{ name: "command", isOptional: true }],
    example: "help owners",
  },
} as const satisfies Readonly<Record<string, Command>>;
export type CommandName = keyof typeof COMMANDS;

/** What every command takes. */
export const EVERYWHERE: readonly OptionName[] = ["state", "json", "help", "version"];

/** What the program reads from its environment. An empty variable is unset. */
export const VARIABLES = {
  GATEHOUSE_STATE: "The state folder; ~/.gatehouse without it.",
  GATEHOUSE_APP_ORIGIN: "Your Gatehouse; the one this program came from without it.",
  GATEHOUSE_CODE_FILE: "A file with the enrolment code, for up on a machine that is not enrolled.",
  GATEHOUSE_METRICS: "As --metrics.",
  OPENCLAW_URL: "The gateway; the port in OpenClaw's own config without it.",
  OPENCLAW_GATEWAY_TOKEN: "The gateway's token; OpenClaw's own config without it.",
  OPENCLAW_GATEWAY_PASSWORD: "The gateway's password, where it has one.",
  OPENCLAW_GATEWAY_TOKEN_FILE: "A file that holds the token.",
  OPENCLAW_GATEWAY_PASSWORD_FILE: "A file that holds the password.",
  OPENCLAW_GATEWAY_PORT: "The gateway's port, before the one in its config.",
  OPENCLAW_PROFILE: "OpenClaw's profile, where there are several.",
  OPENCLAW_CONFIG_PATH: "OpenClaw's config file, where it is not in its usual place.",
  OPENCLAW_STATE_DIR: "OpenClaw's folder, where it is not ~/.openclaw.",
  NODE_EXTRA_CA_CERTS: "A file with your own certificate authority.",
  HTTPS_PROXY: "As --proxy; HTTP_PROXY for an http: control plane.",
  NO_PROXY: "Hosts that are dialled directly.",
} as const;

/** @returns whether this is a command */
export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/** @returns what the table says of a command, in its general shape */
export function commandOf(name: CommandName): Command {
  return COMMANDS[name];
}

/** @returns the options of a command and of all its actions, besides those of every command */
export function ownOptions(name: CommandName): readonly OptionName[] {
  const { options = [], actions = {} } = commandOf(name);
  return [...new Set([...options, ...Object.values(actions).flatMap((action) => action.options ?? [])])];
}

function wordText(word: Word): string {
  const text = word.choices?.join("|") ?? word.name;
  return word.isOptional === true ? `[${text}]` : `<${text}>`;
}

/** @returns an option as it is written, with its value: `--state <folder>` */
export function optionText(name: OptionName): string {
  const { value, choices }: OptionSpec = OPTIONS[name];
  return value === undefined ? `--${name}` : `--${name} <${choices?.join("|") ?? value}>`;
}

/** @returns how a command, or one action of it, is written: `gatehouse owners add <passkey> [owner|approver]` */
export function usageOf(name: CommandName, actionName?: string): string {
  const command = commandOf(name);
  const action = actionName === undefined ? command : command.actions?.[actionName];
  return ["gatehouse", name, ...(actionName === undefined ? [] : [actionName]), ...(action?.words ?? []).map(wordText)].join(" ");
}

/** @returns every way to write a command, one per action */
export function usagesOf(name: CommandName): readonly string[] {
  const { actions } = commandOf(name);
  return actions === undefined ? [usageOf(name)] : Object.keys(actions).map((action) => usageOf(name, action));
}

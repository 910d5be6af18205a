/** One table of commands: what is read by it, what is refused in which words, and the texts that come from it. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { cliDocs } from "../../../scripts/cli-docs.ts";
import { COMMANDS, OPTIONS, ownOptions, usagesOf } from "../../../src/connector/cli/commands.ts";
import type { CommandName } from "../../../src/connector/cli/commands.ts";
import { readCommandLine, UsageError } from "../../../src/connector/cli/command-line.ts";
import { completionScript } from "../../../src/connector/cli/completion.ts";
import { commandHelp, overview } from "../../../src/connector/cli/help.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const names = Object.keys(COMMANDS) as CommandName[];

function words(line: string): readonly string[] {
  return line === "" ? [] : line.split(" ");
}

test.each([
  ["statsu", 'Unknown command "statsu". Did you mean status? See gatehouse help.'],
  ["fly", 'Unknown command "fly". See gatehouse help.'],
  ["status --jsno", "Unknown option --jsno. Did you mean --json? See gatehouse help."],
  ["status -x", "Unknown option -x. See gatehouse help."],
  ["status --all", "gatehouse status takes no --all. See gatehouse help status."],
  ["owners list --max-days 1", "gatehouse owners list takes no --max-days. See gatehouse help owners."],
  ["status now", '"now" is one word too many. Write: gatehouse status'],
  ["owners lst", 'gatehouse owners does not take "lst". Did you mean list? It takes list, add, role or remove.'],
  ["access-list foo", 'gatehouse access-list does not take "foo". It takes show, verify or resume.'],
  ["receipt", "A word is missing. Write: gatehouse receipt verify <file>"],
  ["receipt verify", "The file is missing. Write: gatehouse receipt verify <file>"],
  [
    "owners role x approvr",
    'The role is owner or approver, not "approvr". Did you mean approver? Write: gatehouse owners role <passkey> <owner|approver>',
  ],
  ["completion fish", 'The shell is bash or zsh, not "fish". Write: gatehouse completion <bash|zsh>'],
  ["policy --max-access ful", '--max-access takes full, chat or look, not "ful". Did you mean full?'],
  ["policy --max-days 1e1", '--max-days takes a number from 0.04 to 90, not "1e1".'],
  ["policy --max-days -3", '--max-days takes a number from 0.04 to 90, not "-3".'],
  ["policy --max-days 91", '--max-days takes a number from 0.04 to 90, not "91".'],
  ["policy --max-days 0", '--max-days takes a number from 0.04 to 90, not "0".'],
  ["policy --max-days --json", "--max-days needs a value: --max-days <days>"],
  ["policy --max-days", "--max-days needs a value: --max-days <days>"],
  ["status --state=", "--state needs a value: --state <folder>"],
  ["status --json=yes", "--json takes no value."],
  ["help fly", 'Unknown command "fly". See gatehouse help.'],
])("[CLI2] %j is refused in words", (line, text) => {
  expect(() => readCommandLine(words(line))).toThrow(new UsageError(text));
});

test("[CLI1] what the table allows is read, options anywhere", () => {
  expect(readCommandLine(["--json", "owners", "role", "k", "approver", "--max-access=chat", "--max-days", "7.5"])).toEqual({
    do: "run",
    command: "owners",
    action: "role",
    words: ["k", "approver"],
    values: { json: true, "max-access": "chat", "max-days": "7.5" },
  });
  expect(readCommandLine(["history"])).toMatchObject({ command: "history", action: "show", words: [] });
  expect(readCommandLine(["cut", "--", "-k"])).toMatchObject({ command: "cut", action: null, words: ["-k"] });
  for (const line of [[], ["--json"]]) expect(readCommandLine(line)).toEqual({ do: "overview" });
  expect(readCommandLine(["-V"])).toEqual({ do: "version" });
  for (const line of [["help"], ["--help"], ["-h"]]) expect(readCommandLine(line)).toEqual({ do: "help", command: null });
  for (const line of [
    ["help", "cut"],
    ["cut", "--help"],
    ["cut", "-h"],
  ])
    expect(readCommandLine(line)).toEqual({ do: "help", command: "cut" });
});

test("[CLI1] [CLI3] help has every command, its options and an example, in 80 columns", () => {
  for (const name of names) expect(overview()).toMatch(new RegExp(`^  ${name} `, "m"));
  for (const name of names) {
    const help = commandHelp(name);
    for (const option of ownOptions(name)) expect(help).toContain(`--${option}`);
    for (const usage of usagesOf(name)) expect(help.replaceAll(/\n +/g, " ")).toContain(usage);
    expect(help).toContain(`Example:\n  gatehouse ${COMMANDS[name].example}\n`);
    expect(readCommandLine(words(COMMANDS[name].example)).do).not.toBe("version");
  }
  for (const text of [overview(), ...names.map(commandHelp)])
    for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
});

test("[CLI1] docs/cli.md is what the table of commands gives", () => {
  expect(readFileSync(path.join(root, "docs/cli.md"), "utf8"), "run: npm run docs:cli").toBe(cliDocs());
});

/** What bash offers at the end of a line. */
function completed(line: string): readonly string[] {
  const typed = line.split(" ");
  const script = `${completionScript("bash")}COMP_WORDS=(${typed.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${typed.length - 1}; _gatehouse; echo "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", script], { cwd: "/", encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout
    .trim()
    .split(" ")
    .filter((word) => word !== "");
}

test.each([
  ["gatehouse ow", ["owners"]],
  ["gatehouse owners r", ["role", "remove"]],
  ["gatehouse --json access-list ve", ["verify"]],
  ["gatehouse policy --max-", ["--max-access", "--max-days"]],
  ["gatehouse policy --max-access c", ["chat"]],
  ["gatehouse completion z", ["zsh"]],
  ["gatehouse help rotate-", ["rotate-key", "rotate-secret"]],
])("[CLI1] bash completes %s", (line, offered) => {
  expect(completed(line)).toEqual(offered);
});

test("[CLI1] completion knows every command, action and option", () => {
  expect(completed("gatehouse ")).toEqual(names);
  for (const name of names)
    expect(completed(`gatehouse ${name} --`)).toEqual(expect.arrayContaining(ownOptions(name).map((option) => `--${option}`)));
  expect(completionScript("zsh")).toBe(`autoload -U +X bashcompinit && bashcompinit\n${completionScript("bash")}`);
  expect(Object.keys(OPTIONS).filter((option) => !completionScript("bash").includes(`--${option}`))).toEqual([]);
});

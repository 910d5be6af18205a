/** The texts of `gatehouse help`, at most 80 columns wide. */
import { EXIT, EXIT_TEXTS } from "../exit-codes.ts";
import { COMMANDS, EVERYWHERE, OPTIONS, VARIABLES, commandOf, optionText, ownOptions, usageOf, usagesOf } from "./commands.ts";
import type { Command, CommandName, OptionName, OptionSpec } from "./commands.ts";

const COLUMNS = 80;

/** Breaks a text between words. @param indent what stands before each line but the first */
function wrap(text: string, indent = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const room = COLUMNS - (lines.length === 0 ? 0 : indent.length);
    if (line !== "" && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${indent}`);
}

/** Two columns: a name, and its text beside or below it. */
function row(name: string, text: string, width: number): string {
  const indent = " ".repeat(width + 4);
  const left = `  ${name}`;
  return left.length + 2 > indent.length
    ? `${left}\n${indent}${wrapAt(text, indent)}`
    : `${left.padEnd(indent.length)}${wrapAt(text, indent)}`;
}

function wrapAt(text: string, indent: string): string {
  // The first line begins behind the indent, too.
  return wrap(`${"x".repeat(indent.length)}${text}`, indent).slice(indent.length);
}

function rows(pairs: readonly (readonly [string, string])[], widest: number): string {
  const width = Math.min(widest, Math.max(...pairs.map(([name]) => name.length)));
  return pairs.map(([name, text]) => row(name, text, width)).join("\n");
}

function optionRow(name: OptionName): readonly [string, string] {
  const { short, text }: OptionSpec = OPTIONS[name];
  return [`${short === undefined ? "" : `-${short}, `}${optionText(name)}`, text];
}

const EXITS = rows(
  Object.entries(EXIT).map(([name, code]) => [String(code), EXIT_TEXTS[name as keyof typeof EXIT]] as const),
  1,
);

const TITLES: Readonly<Record<Command["group"], string>> = {
  connect: "Connect",
  decide: "Decide",
  machine: "This machine",
  help: "Help",
};

function group(name: Command["group"]): string {
  const own = (Object.keys(COMMANDS) as CommandName[]).filter((each) => COMMANDS[each].group === name);
  return `${TITLES[name]}:\n${rows(own.map((each) => [each, COMMANDS[each].text] as const), 14)}`; // prettier-ignore
}

/** @returns the overview of `gatehouse help` */
export function overview(): string {
  return `Usage: gatehouse <command> [options]

Reach this machine's OpenClaw gateway from anywhere, behind NAT.

${(Object.keys(TITLES) as Command["group"][]).map(group).join("\n\n")}

Options of every command:
${rows(EVERYWHERE.map(optionRow), 20)}

Environment:
${rows(Object.entries(VARIABLES), 27)}

Exit codes:
${EXITS}`;
}

/** @returns the text of `gatehouse help <command>` */
export function commandHelp(name: CommandName): string {
  const { text, more, actions, example } = commandOf(name);
  const own = ownOptions(name);
  const parts = [
    usagesOf(name)
      .map((usage, index) => wrap(`${index === 0 ? "Usage:" : "      "} ${usage}`, " ".repeat(11)))
      .join("\n"),
    wrap(text),
    ...(actions === undefined ? [] : [rows(Object.entries(actions).map(([action, each]) => [action, each.text] as const), 10)]), // prettier-ignore
    ...(more === undefined ? [] : [wrap(more)]),
    `Options:\n${rows([...own, ...EVERYWHERE].map(optionRow), 24)}`,
    `Example:\n  gatehouse ${example}`,
    `Exit codes:\n${EXITS}`,
  ];
  return parts.join("\n\n");
}

/** Of the page for people, docs/cli.md; scripts/cli-docs.ts adds what scripts need. */
export function docsOf(name: CommandName): string {
  const { text, more, actions, example } = commandOf(name);
  const own = ownOptions(name);
  const list = (pairs: readonly (readonly [string, string])[]): string =>
    pairs.map(([left, right]) => `- \`${left}\`: ${right}`).join("\n");
  return [
    `## ${name}`,
    text,
    actions === undefined
      ? `\`${usageOf(name)}\``
      : list(Object.entries(actions).map(([action, each]) => [usageOf(name, action), each.text] as const)),
    ...(more === undefined ? [] : [more]),
    ...(own.length === 0 ? [] : [list(own.map(optionRow))]),
    `Example: \`gatehouse ${example}\``,
  ].join("\n\n");
}

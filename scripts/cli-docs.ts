/** `npm run docs:cli`: writes docs/cli.md from the table of commands. A unit test compares it. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { COMMANDS, EVERYWHERE, OPTIONS, VARIABLES, commandOf, optionText, ownOptions, usageOf } from "../src/connector/cli/commands.ts";
import type { CommandName, OptionName, OptionSpec } from "../src/connector/cli/commands.ts";
import { EVENTS } from "../src/connector/cli/output.ts";
import { EXIT, EXIT_TEXTS } from "../src/connector/exit-codes.ts";

type Pair = readonly [string, string];

function list(pairs: readonly Pair[]): string {
  return pairs.map(([left, right]) => `- \`${left}\`: ${right}`).join("\n");
}

function option(name: OptionName): Pair {
  const { short, text, range }: OptionSpec = OPTIONS[name];
  const limits = range === undefined ? "" : ` From ${range[0]} to ${range[1]}.`;
  return [`${short === undefined ? "" : `-${short}, `}${optionText(name)}`, `${text}${limits}`];
}

function section(name: CommandName): string {
  const { text, more, actions, example } = commandOf(name);
  const own = ownOptions(name);
  return [
    `### ${name}`,
    text,
    actions === undefined
      ? `\`${usageOf(name)}\``
      : list(Object.entries(actions).map(([action, each]) => [usageOf(name, action), each.text])),
    ...(more === undefined ? [] : [more]),
    ...(own.length === 0 ? [] : [list(own.map(option))]),
    `Example: \`gatehouse ${example}\``,
  ].join("\n\n");
}

interface Shape {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly items?: Shape;
  readonly anyOf?: readonly Shape[];
  readonly oneOf?: readonly Shape[];
}

/** A JSON schema, as short as people read it. */
function shapeText(shape: Shape): string {
  const { type, properties, required = [], items, anyOf, oneOf } = shape;
  if (anyOf !== undefined || oneOf !== undefined) return (anyOf ?? oneOf ?? []).map(shapeText).join(" or ");
  if (shape.const !== undefined) return JSON.stringify(shape.const);
  if (shape.enum !== undefined) return shape.enum.map((each) => JSON.stringify(each)).join(" or ");
  if (properties !== undefined)
    return `{ ${Object.entries(properties).map(([name, each]) => `${name}${required.includes(name) ? "" : "?"}: ${shapeText(each)}`).join(", ")} }`; // prettier-ignore
  if (items !== undefined) return `list of ${shapeText(items)}`;
  return type === undefined ? "anything" : typeof type === "string" ? type : type.join(" or ");
}

function eventRow(name: keyof typeof EVENTS): string {
  const text = shapeText(z.toJSONSchema(EVENTS[name], { unrepresentable: "any" }) as Shape);
  return `| \`${name}\` | ${text === "{  }" ? "nothing more" : `\`${text}\``} |`;
}

/** @returns the page docs/cli.md */
export function cliDocs(): string {
  const names = Object.keys(COMMANDS) as CommandName[];
  return `# The command line at the gateway's machine

\`npm run docs:cli\` writes this page from the table of commands. A hint that the program prints names the command as this machine runs it, for example
with \`npx\` in front.

## Commands

${names.map(section).join("\n\n")}

## Options of every command

${list(EVERYWHERE.map(option))}

## Environment

An empty variable is unset.

${list(Object.entries(VARIABLES))}

## Exit codes

${Object.entries(EXIT)
  .map(([name, code]) => `- ${code}: ${EXIT_TEXTS[name as keyof typeof EXIT]}`)
  .join("\n")}

Codes 4 and 6 are final: another start with the same state folder changes nothing.

## JSON

With \`--json\` every line of stdout is one object with \`at\` (ISO 8601, UTC) and \`event\`. An error is such a line, too, on stdout: its member \`error\` says in
words what happened, and its \`event\` names the kind. Lists are one object with an array. A member with \`?\` may be absent.

| event | members |
|---|---|
${(Object.keys(EVENTS) as (keyof typeof EVENTS)[]).map(eventRow).join("\n")}
`;
}

if (import.meta.main) await writeFile(path.join(import.meta.dirname, "../docs/cli.md"), cliDocs());

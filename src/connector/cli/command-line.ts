/** Reads the command line by the table of commands. Whatever is wrong is named, with what is allowed instead. */
import { parseArgs } from "node:util";
import { nearestWord } from "../../core/words/nearest-word.ts";
import { COMMANDS, EVERYWHERE, OPTIONS, commandOf, isCommand, optionText, ownOptions, usageOf, usagesOf } from "./commands.ts";
import type { Action, CommandName, OptionName, OptionSpec, Word } from "./commands.ts";

type BooleanName = { [Name in OptionName]: (typeof OPTIONS)[Name]["type"] extends "boolean" ? Name : never }[OptionName];
/** Options as they were given. */
export type Values = { readonly [Name in OptionName]?: Name extends BooleanName ? true : string };

export type CommandLine =
  | { readonly do: "overview" }
  | { readonly do: "version" }
  | { readonly do: "help"; readonly command: CommandName | null }
  | {
      readonly do: "run";
      readonly command: CommandName;
      /** What the command's first word chose, where its words choose. */
      readonly action: string | null;
      readonly words: readonly string[];
      readonly values: Values;
    };

/** Wrong usage: says what is wrong, then how it is written. */
export class UsageError extends Error {
  override name = "UsageError";
}

function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

function meant(text: string, words: readonly string[]): string {
  const word = nearestWord(text, words);
  return word === null ? "" : ` Did you mean ${word}?`;
}

function oneOf(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join("") : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1) ?? ""}`;
}

/** @throws UsageError when an option does not take this value */
function checkValue(name: OptionName, value: string): void {
  const { choices, range }: OptionSpec = OPTIONS[name];
  if (choices !== undefined && !choices.includes(value))
    throw new UsageError(`--${name} takes ${oneOf(choices)}, not "${value}".${meant(value, choices)}`);
  // Plain decimals: what Number() takes besides, such as 1e1 or 0x7, is nothing that a person means.
  const isInside = range === undefined || (/^\d{1,9}(?:\.\d{1,9})?$/.test(value) && Number(value) >= range[0] && Number(value) <= range[1]);
  if (!isInside) throw new UsageError(`--${name} takes a number from ${range[0]} to ${range[1]}, not "${value}".`);
  if (value === "") throw new UsageError(`--${name} needs a value: ${optionText(name)}`);
}

interface Given {
  readonly values: Values;
  readonly positionals: readonly string[];
}

/** @throws UsageError for an option that nobody knows, and for a value that is missing or too much */
function readOptions(argv: readonly string[]): Given {
  const { tokens } = parseArgs({ args: [...argv], allowPositionals: true, strict: false, tokens: true, options: OPTIONS as unknown as Record<OptionName, Pick<OptionSpec, "type">> }); // prettier-ignore
  const values: Record<string, string | true> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    if (!isOption(name))
      throw new UsageError(`Unknown option ${rawName}.${meant(rawName, Object.keys(OPTIONS).map((each) => `--${each}`))} See gatehouse help.`); // prettier-ignore
    const { type }: OptionSpec = OPTIONS[name];
    if (type === "boolean" && value !== undefined) throw new UsageError(`--${name} takes no value.`);
    if (type === "string") {
      const isMissing = value === undefined || (!token.inlineValue && /^--?[a-z]/i.test(value));
      if (isMissing) throw new UsageError(`--${name} needs a value: ${optionText(name)}`);
      checkValue(name, value);
    }
    values[name] = value ?? true;
  }
  return { values, positionals };
}

function knownCommand(name: string): CommandName {
  if (isCommand(name)) return name;
  throw new UsageError(`Unknown command "${name}".${meant(name, Object.keys(COMMANDS))} See gatehouse help.`);
}

/** @throws UsageError when words are missing, too many, or not among those allowed */
function checkWords(words: readonly string[], expected: readonly Word[], usage: string): void {
  const extra = words[expected.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one word too many. Write: ${usage}`);
  for (const [index, { name, choices, isOptional }] of expected.entries()) {
    const word = words[index];
    if (word === undefined && isOptional !== true) throw new UsageError(`The ${name} is missing. Write: ${usage}`);
    if (word !== undefined && choices !== undefined && !choices.includes(word))
      throw new UsageError(`The ${name} is ${oneOf(choices)}, not "${word}".${meant(word, choices)} Write: ${usage}`);
  }
}

/** What the first word chooses. @throws UsageError for a word that is none of them */
function chosenAction(command: CommandName, word: string | undefined): { readonly name: string | null; readonly action: Action } {
  const { actions, isActionNeeded, ...own } = commandOf(command);
  if (actions === undefined) return { name: null, action: own };
  const names = Object.keys(actions);
  const name = word ?? (isActionNeeded === true ? undefined : names[0]);
  const action = name !== undefined && names.includes(name) ? actions[name] : undefined;
  if (name !== undefined && action !== undefined) return { name, action };
  if (word === undefined) throw new UsageError(`A word is missing. Write: ${usagesOf(command).join(", or ")}`);
  throw new UsageError(`gatehouse ${command} does not take "${word}".${meant(word, names)} It takes ${oneOf(names)}.`);
}

/**
 * Reads a command line.
 *
 * @returns what to do; `overview` is the answer to no command at all
 * @throws UsageError naming the word that is wrong, and the allowed ones
 */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const { values, positionals } = readOptions(argv);
  const [first, ...words] = positionals;
  if (values.version === true) return { do: "version" };
  if (first === undefined) {
    return values.help === true ? { do: "help", command: null } : { do: "overview" };
  }
  const command = knownCommand(first);
  if (values.help === true) return { do: "help", command };
  if (command === "help") {
    checkWords(words, COMMANDS.help.words, usageOf("help"));
    return { do: "help", command: words[0] === undefined ? null : knownCommand(words[0]) };
  }
  const { name, action } = chosenAction(command, words[0]);
  const usage = usageOf(command, name ?? undefined);
  const rest = name !== null && words.length > 0 ? words.slice(1) : words;
  const allowed = [...(action.options ?? []), ...EVERYWHERE];
  const foreign = (Object.keys(values) as OptionName[]).find((option) => !allowed.includes(option));
  if (foreign !== undefined) {
    const elsewhere = ownOptions(command).includes(foreign) && name !== null ? ` ${name}` : "";
    throw new UsageError(`gatehouse ${command}${elsewhere} takes no --${foreign}. See gatehouse help ${command}.`);
  }
  checkWords(rest, action.words ?? [], usage);
  return { do: "run", command, action: name, words: rest, values };
}

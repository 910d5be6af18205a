/** The completion scripts of `gatehouse completion`, made from the table of commands. */
import { COMMANDS, EVERYWHERE, OPTIONS, commandOf, ownOptions } from "./commands.ts";
import type { CommandName, OptionName, OptionSpec } from "./commands.ts";

function optionNames(name: CommandName): string {
  return [...ownOptions(name), ...EVERYWHERE].map((option) => `--${option}`).join(" ");
}

/** What may stand right behind a command. */
function firstWords(name: CommandName): string {
  const { actions, words = [] } = commandOf(name);
  if (name === "help") return Object.keys(COMMANDS).join(" ");
  return (actions === undefined ? (words[0]?.choices ?? []) : Object.keys(actions)).join(" ");
}

/** Options with a fixed set of values. */
function choiceCases(): string {
  return (Object.keys(OPTIONS) as OptionName[])
    .flatMap((name) => {
      const { choices }: OptionSpec = OPTIONS[name];
      return choices === undefined ? [] : [`    --${name}) COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$word")); return ;;`];
    })
    .join("\n");
}

function commandCases(): string {
  return (Object.keys(COMMANDS) as CommandName[])
    .map((name) => `    ${name}) words="${firstWords(name)}"; options="${optionNames(name)}" ;;`)
    .join("\n");
}

const FILE_OPTIONS = ["state", "log"] as const satisfies readonly OptionName[];

function bash(): string {
  return `_gatehouse() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="" place=0 words="" options="" index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${COMP_WORDS[index]}" in -*) ;; *) command="\${COMP_WORDS[index]}"; place=$index; break ;; esac
  done
  case "$before" in
${choiceCases()}
    ${FILE_OPTIONS.map((name) => `--${name}`).join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case "$command" in
    "") words="${Object.keys(COMMANDS).join(" ")}"; options="${EVERYWHERE.map((name) => `--${name}`).join(" ")}" ;;
${commandCases()}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) if ((COMP_CWORD == place + 1)) && [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); else COMPREPLY=($(compgen -f -- "$word")); fi ;;
  esac
}
complete -F _gatehouse gatehouse
`;
}

/**
 * @param shell `bash`, or `zsh`, which runs the same function through its own bashcompinit
 * @returns a script for the shell to source
 */
export function completionScript(shell: string): string {
  return shell === "zsh" ? `autoload -U +X bashcompinit && bashcompinit\n${bash()}` : bash();
}

/** Devices as commands list them, and the one that somebody means. */
import type { HeldGrant } from "../../core/trust/judge.ts";
import { matchesOf } from "../../core/words/named-match.ts";
import { EXIT } from "../exit-codes.ts";
import type { Terminal } from "./terminal.ts";
import type { ListedDevice } from "./output.ts";

/** @returns what lists say of a device */
export function listed({ statement, isRevoked }: HeldGrant, nowMs: number): ListedDevice {
  const { device, name, access, notAfterMs } = statement;
  const state = isRevoked ? "cut" : notAfterMs <= nowMs ? "expired" : "allowed";
  return { device, name, state, access, notAfterMs };
}

/** @returns one line per device, for people */
export function deviceLines(list: readonly ListedDevice[]): string {
  return list
    .map(
      ({ device, state, access, notAfterMs, name }) =>
        `${device}  ${state.padEnd(8)} ${access.padEnd(5)} until ${new Date(notAfterMs).toISOString()}  ${name}`,
    )
    .join("\n");
}

/**
 * The device that somebody means; says so where there is none, or more than one.
 *
 * @param all devices here, of which live ones are meant first
 * @param text its id, the beginning of one, or its name
 * @returns its id, or the exit code
 */
export function chosenDevice(terminal: Terminal, all: readonly ListedDevice[], text: string): { readonly device: string } | number {
  const named = all.map((each) => ({ id: each.device, each }));
  const among = (list: typeof named) => matchesOf(list.map(({ id, each }) => ({ id, name: each.name, each })), text); // prettier-ignore
  const live = among(named.filter(({ each }) => each.state !== "cut"));
  const found = [...new Map((live.length > 0 ? live : among(named)).map(({ id, each }) => [id, each])).values()];
  const [first, second] = found;
  if (first === undefined) {
    terminal.fail("not-found", `No device "${text}" here. \`gatehouse devices\` lists them.`);
    return EXIT.failed;
  }
  if (second === undefined) return { device: first.device };
  terminal.fail("ambiguous", `"${text}" fits several devices. Write more of the id:\n${deviceLines(found)}`, { devices: found });
  return EXIT.usage;
}

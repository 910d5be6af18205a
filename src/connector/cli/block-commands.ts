/** `gatehouse devices --blocked` and `gatehouse unblock <device>`: the running connector asks the room over the link. */
import * as z from "zod";
import { matchesOf } from "../../core/words/named-match.ts";
import { blockedDevicesSchema } from "../../protocol/blocks.ts";
import type { BlockedDevice } from "../../protocol/blocks.ts";
import { EXIT } from "../exit-codes.ts";
import { askRunning } from "../trust/local-control.ts";
import type { Options } from "./options.ts";

type CommandOptions = Pick<Options, "terminal" | "files">;

const answerSchema = z.object({ devices: blockedDevicesSchema, wasBlocked: z.boolean() });

/** @returns the room's answer, or null when it could not be asked, which is said */
async function askRoom({ terminal, files }: CommandOptions, unblock: string | null): Promise<z.infer<typeof answerSchema> | null> {
  const running = await askRunning(files.dir, { ask: "blocked", unblock });
  if (running === null) {
    terminal.fail("not-running", "The connector is not running. The blocked devices are kept by Gatehouse, so it must be connected.");
    return null;
  }
  const answer = answerSchema.safeParse(running);
  if (answer.success) return answer.data;
  terminal.fail("no-link", "There is no connection to Gatehouse, which keeps the blocked devices. `gatehouse status` says why.");
  return null;
}

function blockedLines(list: readonly BlockedDevice[]): string {
  return list
    .map(({ device, untilMs, name }) => `${device}  ${untilMs === null ? "for good" : `until ${new Date(untilMs).toISOString()}`}  ${name}`)
    .join("\n");
}

/** `devices --blocked`. @returns the exit code */
export async function listBlocked(options: CommandOptions): Promise<number> {
  const answer = await askRoom(options, null);
  if (answer === null) return EXIT.failed;
  const { devices } = answer;
  options.terminal.say("blocked-devices", devices.length === 0 ? "No device is blocked." : blockedLines(devices), { blocked: devices });
  return EXIT.done;
}

/** @param text the device's id, the beginning of one, or its name @returns the exit code */
export async function unblock(options: CommandOptions, text: string): Promise<number> {
  const { terminal } = options;
  const notFound = (): number => {
    terminal.fail("not-found", `No device "${text}" is blocked. \`gatehouse devices --blocked\` lists them.`);
    return EXIT.failed;
  };
  const known = await askRoom(options, null);
  if (known === null) return EXIT.failed;
  const found = matchesOf(known.devices.map((each) => ({ ...each, id: each.device })), text); // prettier-ignore
  const [first, second] = found;
  if (first === undefined) return notFound();
  if (second !== undefined) {
    const list = known.devices.filter(({ device }) => found.some(({ id }) => id === device));
    terminal.fail("ambiguous", `"${text}" fits several devices. Write more of the id:\n${blockedLines(list)}`, { blocked: list });
    return EXIT.usage;
  }
  const answer = await askRoom(options, first.device);
  if (answer === null) return EXIT.failed;
  if (!answer.wasBlocked) return notFound();
  terminal.say("unblocked", `"${first.name}" may ask again. Nobody is let in by this.`, { device: first.device });
  return EXIT.done;
}

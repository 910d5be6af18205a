/** `gatehouse devices|cut`: who is admitted here, and the end of it, with or without a running connector. */
import { digestIdSchema } from "../../protocol/statements.ts";
import { Admitted } from "../trust/admissions.ts";
import { chosenDevice, deviceLines, listed } from "./device-list.ts";
import { pendingCut } from "../trust/cuts.ts";
import { EXIT } from "../exit-codes.ts";
import { loadIdentity } from "../trust/identity.ts";
import { KeyLog, lookAtLog } from "../trust/key-log-file.ts";
import { askRunning } from "../trust/local-control.ts";
import { act } from "./lock-commands.ts";
import type { Options } from "./options.ts";

/** @returns the exit code */
export async function devices({ terminal, files }: Pick<Options, "terminal" | "files">): Promise<number> {
  const list = [...(await lookAtLog(files)).grants.values()].map((grant) => listed(grant, Date.now()));
  terminal.say("devices", list.length === 0 ? "No device is allowed yet." : deviceLines(list), { devices: list });
  return EXIT.done;
}

/** `cut <device>`, `cut --all`. @returns the exit code */
export async function cut(options: Pick<Options, "terminal" | "files">, text: string | undefined, isAll: boolean): Promise<number> {
  const { terminal, files } = options;
  if ((text === undefined) !== isAll) {
    terminal.fail("usage", "Name one device, or --all. Write: gatehouse cut <device>, or: gatehouse cut --all");
    return EXIT.usage;
  }
  if (text === undefined) return act(options, { do: "revoke-all" });
  // A whole id is cut even where the disk cannot be read: the running connector knows it.
  const isWhole = digestIdSchema.safeParse(text).success;
  const known = isWhole ? { device: text } : chosenDevice(terminal, [...(await lookAtLog(files)).grants.values()].map((grant) => listed(grant, Date.now())), text); // prettier-ignore
  return typeof known === "number" ? known : cutDevice(options, known.device);
}

async function cutDevice({ terminal, files }: Pick<Options, "terminal" | "files">, device: string): Promise<number> {
  const unknown = (): number => {
    terminal.fail("not-found", `No device "${device}" here. \`gatehouse devices\` lists them.`);
    return EXIT.failed;
  };
  const running: { unknown?: boolean; error?: string; done?: boolean } | null = await askRunning(files.dir, { ask: "cut", device });
  if (running?.unknown === true) return unknown();
  if (running?.error !== undefined) {
    terminal.fail(
      "failed",
      "The running connector could not write it down. The device is denied while it runs; look at the disk, then cut again.",
    );
    return EXIT.failed;
  }
  if (running !== null) {
    const removal = running.done === true ? "OpenClaw's entry is removed." : "OpenClaw's entry is removed as soon as OpenClaw runs.";
    terminal.say("cut", `Cut: its connections have ended. ${removal}`, { device, result: running });
    return EXIT.done;
  }
  const log = await KeyLog.open(files, loadIdentity(files));
  const admitted = new Admitted(files, log, () => Date.now());
  if (!admitted.grants().some((grant) => grant.statement.device === device)) return unknown();
  await admitted.revokeDevice(device, "host");
  admitted.saveCut(pendingCut(log.state, device, "host", Date.now()));
  terminal.say("cut", "Cut on this machine. The connector finishes the rest when it runs again.", { device });
  return EXIT.done;
}

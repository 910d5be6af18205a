/** Commands for the person at the gateway's machine: how things stand, who is admitted, ending access. */
import { Admitted } from "./admitted.ts";
import { EXIT } from "./exit-codes.ts";
import { loadIdentity } from "./identity.ts";
import { KeyLog, lookAtLog } from "./key-log-file.ts";
import { askRunning } from "./local-control.ts";
import type { Options } from "./options.ts";
import type { StateFiles } from "./state-files.ts";

async function openAdmitted(files: StateFiles): Promise<Admitted> {
  return new Admitted(files, await KeyLog.open(files, loadIdentity(files)), () => Date.now());
}

/** @returns the exit code */
export async function status({ terminal, files }: Options): Promise<number> {
  const answer = await askRunning(files.dir, { ask: "status" });
  if (answer === null) {
    terminal.fail(
      "not-running",
      files.read("gateway") === null ? "Not enrolled, not running." : "The connector is not running. Start it with: gatehouse run",
    );
    return EXIT.failed;
  }
  terminal.say("status", JSON.stringify(answer, null, 2), { status: answer });
  return EXIT.done;
}

/** @returns the exit code */
export async function devices({ terminal, files }: Options): Promise<number> {
  const grants = [...(await lookAtLog(files)).grants.values()];
  for (const { statement, isRevoked, isConfirmed } of grants) {
    const state = isRevoked ? "cut" : !isConfirmed ? "waiting" : statement.notAfterMs <= Date.now() ? "expired" : "allowed";
    terminal.say(
      "device",
      `${statement.device}  ${state.padEnd(8)} ${statement.access.padEnd(5)} until ${new Date(statement.notAfterMs).toISOString()}  ${statement.name}`,
      {
        device: statement.device,
        name: statement.name,
        state,
        access: statement.access,
        notAfterMs: statement.notAfterMs,
      },
    );
  }
  if (grants.length === 0) terminal.say("devices", "No device is allowed yet.");
  return EXIT.done;
}

/** @returns the exit code */
export async function cut({ terminal, files }: Options, device: string | undefined): Promise<number> {
  if (device === undefined) {
    terminal.fail("usage", "Which device? `gatehouse devices` lists them.");
    return EXIT.usage;
  }
  const unknown = (): number => {
    terminal.fail("not-found", `No device ${device} here. \`gatehouse devices\` lists them.`);
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
  const admitted = await openAdmitted(files);
  if (!admitted.grants().some((grant) => grant.statement.device === device)) return unknown();
  await admitted.revokeDevice(device, "host");
  admitted.saveCut({ device, by: "host", removed: 0, isDone: false, atMs: Date.now() });
  terminal.say("cut", "Cut on this machine. The connector finishes the rest when it runs again.", { device });
  return EXIT.done;
}

/** `gatehouse logs`: the journal of the service that `install` wrote. */
import { spawn } from "node:child_process";
import { EXIT } from "../exit-codes.ts";
import type { Options } from "./options.ts";
import { thisMachine } from "../service/machine.ts";
import { installedService, severalServices } from "../service/places.ts";

const LINES = 200;

/** @returns the exit code */
export async function logs({ terminal, files }: Options, follow: boolean): Promise<number> {
  const machine = thisMachine();
  const service = installedService(machine, files.dir);
  const several = service === null ? severalServices(machine, files.dir) : null;
  if (several !== null) {
    terminal.fail("several-services", several);
    return EXIT.needsConfirmation;
  }
  if (service === null) {
    terminal.fail("no-service", "No service is installed here. Install one with: sudo gatehouse install --system");
    return EXIT.failed;
  }
  const unit = [service.manifest.kind === "system" ? "--unit" : "--user-unit", service.manifest.unit];
  // Our lines carry their own time.
  const words = [...unit, "--output", "cat", "--no-pager", "--lines", String(LINES), ...(follow ? ["--follow"] : [])];
  return new Promise((resolve) => {
    const journal = spawn("journalctl", words, { stdio: "inherit" });
    journal.once("error", (error) => {
      terminal.fail("no-journal", `The journal cannot be read: ${error.message}.`);
      resolve(EXIT.failed);
    });
    journal.once("exit", (code) => resolve(code === 0 ? EXIT.done : EXIT.failed));
  });
}

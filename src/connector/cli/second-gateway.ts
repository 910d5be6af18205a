/** A second gateway on one machine: a folder and a process of its own. One judge serves one gateway (PROTOCOL.md SF). */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { EXIT } from "../exit-codes.ts";
import { lookAtLog } from "../trust/key-log-file.ts";
import type { Options } from "./options.ts";
import { StateFiles } from "../state/state-files.ts";
import { MAX_STATE_PATH_BYTES } from "../state/state-lock.ts";
import { UsageError } from "./command-line.ts";

export interface OtherGateway {
  readonly name: string;
  readonly folder: string;
}

const FOLDER = /^gateway-\d{1,3}$/;

/** @returns the gateways that have a folder below this state folder */
export function othersIn(files: StateFiles): readonly OtherGateway[] {
  if (!existsSync(files.dir)) return [];
  const folders = readdirSync(files.dir).filter((name) => FOLDER.test(name));
  return folders.flatMap((name) => {
    const folder = path.join(files.dir, name);
    const gateway = new StateFiles(folder).read("gateway");
    return gateway === null ? [] : [{ name: gateway.name, folder }];
  });
}

/** The folder of a new gateway; one that waits for this very code already is the one. */
function freshFolder(files: StateFiles, code: string): StateFiles {
  for (let number = 2; ; number += 1) {
    const beside = new StateFiles(path.join(files.dir, `gateway-${number}`));
    if (Buffer.byteLength(beside.dir) > MAX_STATE_PATH_BYTES)
      throw new UsageError(`There is no room for another gateway below ${files.dir}. Name a folder with --state <folder>.`);
    if (!existsSync(beside.dir) || beside.read("enrolment")?.code === code) return beside;
  }
}

async function liveDevices(files: StateFiles, nowMs: number): Promise<number> {
  const grants = [...(await lookAtLog(files)).grants.values()];
  return grants.filter((grant) => !grant.isRevoked && grant.statement.notAfterMs > nowMs).length;
}

/**
 * Where a code enrols. On a machine that has a gateway already it asks: beside it, in its place, or not at all.
 *
 * @returns the options with the folder, or the exit code
 */
export async function optionsFor(options: Options, code: string | undefined): Promise<Options | number> {
  const { terminal, files, second } = options;
  const gateway = files.read("gateway");
  if (gateway === null || code === undefined || files.read("enrolment")?.code === code) return options;
  const count = await liveDevices(files, Date.now());
  const loss = count === 1 ? "its device must be approved again" : `its ${count} devices must be approved again`;
  let choice = second;
  if (choice === undefined && terminal.isInteractive) {
    const answer = await terminal.ask(
      `This machine already serves ${gateway.name}. Add the new gateway beside it, replace it (${loss}), or stop? [A/r/s] `,
    );
    choice = /^(?:a|add)?$/i.test(answer) ? "add" : /^r(?:eplace)?$/i.test(answer) ? "replace" : undefined;
    if (choice === undefined) {
      terminal.fail("stopped", "Nothing was changed.");
      return EXIT.failed;
    }
  }
  if (choice === undefined) {
    terminal.fail(
      "needs-confirmation",
      `This machine already serves ${gateway.name}. Run it again with --add to serve both, or with --replace: then ${loss}.`,
    );
    return EXIT.needsConfirmation;
  }
  if (choice === "replace") return options;
  const beside = freshFolder(files, code);
  terminal.useState(beside.dir);
  return { ...options, files: beside };
}

/** Where a service of ours lies on a machine, and what of the machine `install` needs. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import * as z from "zod";

export type ServiceKind = "system" | "user";

/** The machine as `install` sees it; tests play another. */
export interface Machine {
  /** Stands before every absolute path that is written; "" on a real machine. */
  readonly root: string;
  readonly uid: number;
  readonly env: NodeJS.ProcessEnv;
  /** The person's home folder: the one of who called sudo. */
  readonly home: string;
  readonly node: string;
  /** The folder of the running program. */
  readonly programDir: string;
  readonly hasSystemd: boolean;
  /** Runs a command of the system. @returns what it printed; throws Error naming the command and its last line */
  run(command: string, words: readonly string[]): string;
}

export interface Places {
  /** Program, and Node where the machine's own cannot be trusted or reached. */
  readonly programDir: string;
  readonly shim: string;
  readonly unit: string;
  readonly environment: string;
  readonly secret: string;
  /** As the service names its state folder, and where its files really are. */
  readonly stateDir: string;
  readonly stateFiles: string;
}

/** @param userState the state folder that a user service keeps */
export function placesOf(kind: ServiceKind, machine: Pick<Machine, "root" | "home">, userState: string): Places {
  const at = (name: string): string => path.join(machine.root, name);
  if (kind === "system")
    return {
      programDir: at("/usr/local/lib/gatehouse"),
      shim: at("/usr/local/bin/gatehouse"),
      unit: at("/etc/systemd/system/gatehouse.service"),
      environment: at("/etc/gatehouse/environment"),
      secret: at("/etc/gatehouse/openclaw-secret"),
      stateDir: at("/var/lib/gatehouse"),
      // DynamicUser keeps it there, behind a folder that only root may enter.
      stateFiles: at("/var/lib/private/gatehouse"),
    };
  const inHome = (name: string): string => at(path.join(machine.home, name));
  return {
    programDir: inHome(".local/lib/gatehouse"),
    shim: inHome(".local/bin/gatehouse"),
    unit: inHome(".config/systemd/user/gatehouse.service"),
    environment: inHome(".config/gatehouse/environment"),
    secret: inHome(".config/gatehouse/openclaw-secret"),
    stateDir: userState,
    stateFiles: userState,
  };
}

/** What `install` wrote, so that `uninstall` removes exactly that. */
const manifestSchema = z.object({
  kind: z.enum(["system", "user"]),
  files: z.array(z.string()),
  stateDir: z.string(),
  /** What leads to OpenClaw: its config file or the file with the secret, and its address. */
  openclaw: z.object({
    config: z.string().nullable(),
    secret: z.string().nullable(),
    secretKind: z.enum(["token", "password"]),
    url: z.string().nullable(),
  }),
});
export type Manifest = z.infer<typeof manifestSchema>;

export function manifestPath(places: Places): string {
  return path.join(places.programDir, "installed.json");
}

/** @returns what `install` wrote there, or null; throws Error when the note is damaged */
export function readManifest(places: Places): Manifest | null {
  const file = manifestPath(places);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return null;
  }
  const parsed = manifestSchema.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`${file} is damaged. Run install again, then uninstall.`);
  return parsed.data;
}

const HIDDEN = /^\/(?:home|root|run\/user|tmp|var\/tmp|dev\/shm)\//;

/** @returns whether only root can change a file, and a service without access to home folders can read it (PROTOCOL.md MA10) */
export function isRootOnly(file: string, look = statSync): boolean {
  const real = realpathSync(file);
  if (HIDDEN.test(real)) return false;
  for (let each = real; ; each = path.dirname(each)) {
    const { uid, mode } = look(each);
    if (uid !== 0 || (mode & 0o022) !== 0 || (mode & 0o005) === 0) return false;
    if (each === path.dirname(each)) return true;
  }
}

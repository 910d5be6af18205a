/** Where a service of ours lies on a machine, and what of the machine `install` needs. */
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
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
  /** Name of the unit: the first gateway's service has the plain one. */
  readonly unitName: string;
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

/** Begins every name of ours; a further gateway's carries its short id: `gatehouse-x7k2m9qa`. */
const NAME = "gatehouse";
const SHORT_ID = 8;

/** @returns the name of a further gateway's service, without its end */
function furtherName(gateway: string): string {
  const id = gateway.toLowerCase().replaceAll(/[^a-z0-9]/g, "").slice(0, SHORT_ID); // prettier-ignore
  if (id === "") throw new Error("A gateway without an id cannot be a service.");
  return `${NAME}-${id}`;
}

/**
 * @param userState the state folder that a user service keeps
 * @param name of the service, without its end
 */
export function placesOf(kind: ServiceKind, machine: Pick<Machine, "root" | "home">, userState: string, name = NAME): Places {
  const at = (name: string): string => path.join(machine.root, name);
  if (kind === "system")
    return {
      unitName: `${name}.service`,
      programDir: at(`/usr/local/lib/${name}`),
      shim: at(`/usr/local/bin/${name}`),
      unit: at(`/etc/systemd/system/${name}.service`),
      environment: at(`/etc/${name}/environment`),
      secret: at(`/etc/${name}/openclaw-secret`),
      stateDir: at(`/var/lib/${name}`),
      // DynamicUser keeps it there, behind a folder that only root may enter.
      stateFiles: at(`/var/lib/private/${name}`),
    };
  const inHome = (name: string): string => at(path.join(machine.home, name));
  return {
    unitName: `${name}.service`,
    programDir: inHome(`.local/lib/${name}`),
    shim: inHome(`.local/bin/${name}`),
    unit: inHome(`.config/systemd/user/${name}.service`),
    environment: inHome(`.config/${name}/environment`),
    secret: inHome(`.config/${name}/openclaw-secret`),
    stateDir: userState,
    stateFiles: userState,
  };
}

/** What `install` wrote, so that `uninstall` removes exactly that. */
const manifestSchema = z.object({
  kind: z.enum(["system", "user"]),
  /** Whose service it is: the gateway's id. */
  gateway: z.string(),
  unit: z.string(),
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

/** A service of ours on this machine. */
export interface InstalledService {
  readonly places: Places;
  readonly manifest: Manifest;
}

/** @returns every service of ours that is installed here; throws Error when a note is damaged */
export function installedServices(machine: Pick<Machine, "root" | "home">, userState: string): readonly InstalledService[] {
  return (["system", "user"] as const).flatMap((kind) => {
    const folder = path.dirname(placesOf(kind, machine, userState).programDir);
    const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^gatehouse(?:-[a-z0-9]{1,8})?$/.test(name)) : [];
    return names.toSorted().flatMap((name) => {
      const manifest = readManifest(placesOf(kind, machine, userState, name));
      return manifest === null ? [] : [{ places: placesOf(kind, machine, manifest.stateDir, name), manifest }];
    });
  });
}

/**
 * @param dir a state folder
 * @returns the service that belongs to it; where it holds no gateway, the only service. Null: none is, or several could be
 */
export function installedService(machine: Pick<Machine, "root" | "home">, dir: string): InstalledService | null {
  const all = installedServices(machine, dir);
  const own = all.find(({ places, manifest }) => [manifest.stateDir, places.stateDir].includes(dir));
  if (own !== undefined) return own;
  const [only] = all;
  return all.length === 1 && only !== undefined && !existsSync(path.join(dir, "gateway.json")) ? only : null;
}

/** @returns the sentence for who has several services and named none of them; null where there are not several */
export function severalServices(machine: Pick<Machine, "root" | "home">, dir: string): string | null {
  const all = installedServices(machine, dir);
  if (all.length < 2) return null;
  const lines = all.map(({ places, manifest }) => `  ${manifest.unit}: --state ${places.stateDir}`);
  return `Several services are installed. Say which one by its state folder:\n${lines.join("\n")}`;
}

/** @returns where a gateway's service lies or will lie: the plain names while no other gateway has them */
export function placesFor(kind: ServiceKind, machine: Pick<Machine, "root" | "home">, userState: string, gateway: string): Places {
  const own = installedServices(machine, userState).find(({ manifest }) => manifest.kind === kind && manifest.gateway === gateway);
  if (own !== undefined) return own.places;
  const plain = placesOf(kind, machine, userState);
  return readManifest(plain) === null ? plain : placesOf(kind, machine, userState, furtherName(gateway));
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

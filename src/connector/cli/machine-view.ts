/** What one process sees of its machine. The running connector's own view counts: a shell has other variables and another user. */
import { statfsSync } from "node:fs";
import { shownProxy } from "../network/outbound-proxy.ts";
import type { Dialler } from "../network/dialler.ts";
import { isLive } from "../openclaw/dial.ts";
import { DiscoverError, discoverGateway } from "../openclaw/discover.ts";
import { ownerOfPort } from "../openclaw/socket-owner.ts";

export interface MachineView {
  /** Where OpenClaw is looked for, and where its secret comes from; or why that is unknown. */
  readonly openclaw:
    | { readonly host: string; readonly port: number; readonly hasSecret: boolean; readonly secretSource: string }
    | { readonly problem: string };
  /** The way to the control plane, in words. */
  readonly proxy: string;
  readonly uid: number | null;
  /** Whose program listens on OpenClaw's port; null where that is unknown. */
  readonly openclawUid: number | null;
}

const DIRECT = {
  proxy: "",
  loopback: "none: loopback is always direct",
  "no-proxy": "none: NO_PROXY names the control plane",
  none: "none is set",
} as const;

function openclawOf(env: NodeJS.ProcessEnv): MachineView["openclaw"] {
  try {
    const { target, secret, secretSource } = discoverGateway(env);
    return { host: target.host, port: target.port, hasSecret: secret !== null, secretSource };
  } catch (error) {
    if (error instanceof DiscoverError) return { problem: error.message };
    throw error;
  }
}

/** @param appOrigin the control plane; null before this machine is enrolled */
export function machineView(env: NodeJS.ProcessEnv, dialler: Dialler, appOrigin: string | null): MachineView {
  const openclaw = openclawOf(env);
  const choice = appOrigin === null ? null : dialler.choice(new URL(appOrigin));
  const uid = process.getuid?.() ?? null;
  const way = choice === null ? "not enrolled yet" : choice.proxy === null ? DIRECT[choice.why] : shownProxy(choice.proxy);
  return { openclaw, proxy: way, uid, openclawUid: "port" in openclaw ? ownerOfPort(openclaw.port) : null };
}

/** @returns whether OpenClaw's programs run as the same user, so that they can imitate the host */
export function isSharedUser({ uid, openclawUid }: MachineView): boolean {
  return uid !== null && uid === openclawUid;
}

/** @returns for people: where OpenClaw was looked for */
export function openclawAddress({ openclaw }: MachineView): string {
  return "problem" in openclaw ? "its address" : `${openclaw.host}:${openclaw.port}`;
}

/** @returns free space of the state folder in MiB; null where the folder is missing */
export function freeMiB(dir: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return Math.floor((bavail * bsize) / 1_048_576);
  } catch {
    return null;
  }
}

/** @returns whether OpenClaw answers where this process looks for it */
export async function isOpenclawUp(env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    const { target, other } = discoverGateway(env);
    return (await isLive(target)) || (other !== null && (await isLive(other)));
  } catch (error) {
    if (error instanceof DiscoverError) return false;
    throw error;
  }
}

/** The systemd units that `gatehouse install` writes (systemd.exec(5), systemd.service(5)). Pure. */
import { basename } from "node:path";
import { EXIT } from "../exit-codes.ts";

/** Names of the credentials that the service manager hands over (systemd.exec(5), "CREDENTIALS"). */
export const CONFIG_CREDENTIAL = "openclaw.json";
export const SECRET_CREDENTIAL = "openclaw-secret";

export interface UnitPlan {
  readonly kind: "system" | "user";
  readonly node: string;
  readonly program: string;
  /** Ends with no slash. A system unit has a folder below `/var/lib` of its own, named as the unit. */
  readonly stateDir: string;
  readonly environmentFile: string;
  /** OpenClaw's config file, read by the service manager at each start; null where the secret is in `secretFile`. */
  readonly configFile: string | null;
  readonly secretFile: string | null;
  /** Which of OpenClaw's two variables the secret belongs to. */
  readonly secretKind: "token" | "password";
}

/** One quoted word without specifiers. */
function assigned(text: string): string {
  const escaped = text.replaceAll("%", "%%");
  return /[\s"'\\;]/.test(escaped) ? `"${escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : escaped;
}

/** One word of a command line, where `$` begins a variable, too. */
function word(text: string): string {
  return assigned(text.replaceAll("$", "$$$$"));
}

/** A value after `=` whose own specifiers stay. */
function path(text: string): string {
  return text.replaceAll("%", "%%");
}

/** What every unit of ours has; V8 needs writable code pages, so no MemoryDenyWriteExecute. */
const HARDENING = [
  "NoNewPrivileges=yes",
  "LockPersonality=yes",
  "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallErrorNumber=EPERM",
  "UMask=0077",
  "MemoryMax=512M",
] as const;

/** What needs a service manager with privileges. */
const SYSTEM_HARDENING = [
  "DynamicUser=yes",
  "StateDirectoryMode=0700",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "ProtectSystem=strict",
  "ProtectHome=yes",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "ProtectProc=invisible",
  "ProtectKernelTunables=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelLogs=yes",
  "ProtectControlGroups=yes",
  "ProtectClock=yes",
  "ProtectHostname=yes",
  "RemoveIPC=yes",
] as const;

function credentials(plan: UnitPlan): string[] {
  const { configFile, secretFile, secretKind } = plan;
  const variable = secretKind === "token" ? "OPENCLAW_GATEWAY_TOKEN_FILE" : "OPENCLAW_GATEWAY_PASSWORD_FILE";
  return [
    ...(configFile === null
      ? []
      : [`LoadCredential=${CONFIG_CREDENTIAL}:${path(configFile)}`, `Environment=OPENCLAW_CONFIG_PATH=%d/${CONFIG_CREDENTIAL}`]),
    ...(secretFile === null
      ? []
      : [`LoadCredential=${SECRET_CREDENTIAL}:${path(secretFile)}`, `Environment=${variable}=%d/${SECRET_CREDENTIAL}`]),
  ];
}

/**
 * A killed connector is back within two seconds, however often it ends: the wait for the control plane is in the program.
 *
 * @returns the unit's text: it keeps `gatehouse run` alive, except after an end that another start would not change
 */
export function unitText(plan: UnitPlan): string {
  const { kind, node, program, stateDir, environmentFile } = plan;
  const isSystem = kind === "system";
  const lines = [
    "[Unit]",
    "Description=Gatehouse connector",
    // A user manager has no such target.
    ...(isSystem ? ["Wants=network-online.target", "After=network-online.target"] : []),
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    `ExecStart=${[node, program, "run"].map(word).join(" ")}`,
    `Environment=${assigned(`GATEHOUSE_STATE=${stateDir}`)}`,
    `EnvironmentFile=${path(environmentFile)}`,
    ...credentials(plan),
    "Restart=on-failure",
    "RestartSec=1",
    `RestartPreventExitStatus=${EXIT.usage} ${EXIT.refused} ${EXIT.superseded}`,
    ...(isSystem ? [`StateDirectory=${basename(stateDir)}`, ...SYSTEM_HARDENING] : []),
    ...HARDENING,
    "",
    "[Install]",
    `WantedBy=${isSystem ? "multi-user.target" : "default.target"}`,
    "",
  ];
  return lines.join("\n");
}

/**
 * @param values what the service needs of the installing shell
 * @returns the text of an environment file (systemd.exec(5), "EnvironmentFile"); throws Error for a value of several lines
 */
export function environmentText(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => {
      if (/[\r\n\0]/.test(value)) throw new Error(`${name} has several lines. A service cannot take it.`);
      return `${name}="${value.replaceAll(/["\\`$]/g, (sign) => `\\${sign}`)}"\n`;
    })
    .join("");
}

/** @returns a shell script that runs the program on the service's state folder */
export function shimText(plan: Pick<UnitPlan, "node" | "program" | "stateDir">): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  return `#!/bin/sh
# Written by gatehouse install.
[ -n "$GATEHOUSE_STATE" ] || GATEHOUSE_STATE=${quoted(plan.stateDir)}
export GATEHOUSE_STATE
exec ${quoted(plan.node)} ${quoted(plan.program)} "$@"
`;
}

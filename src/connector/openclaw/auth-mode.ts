/** How an OpenClaw gateway asks who somebody is, and how one of its settings is read. */

/** For people, wherever `isSoundAuthMode` says no. */
export const AUTH_MODE_CURE =
  "gateway.auth.mode must be token or password. Run: openclaw config set gateway.auth.mode token, and openclaw doctor --generate-gateway-token";

/** @param dotted a path below the config's root @returns the value there, undefined when there is none */
export function settingAt(config: unknown, dotted: string): unknown {
  let value = config;
  for (const part of dotted.split("."))
    value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  return value;
}

/**
 * Whether the gateway asks who somebody is in a way that a relay can stand behind: with `none` it lets every page in, with `trusted-proxy` it
 * believes header fields.
 *
 * @param config as `config.get` shows it; no mode there means the default, `token`
 */
export function isSoundAuthMode(config: unknown): boolean {
  return [undefined, "token", "password"].includes(settingAt(config, "gateway.auth.mode") as string | undefined);
}

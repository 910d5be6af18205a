/** Which HTTP proxy an outgoing connection takes, by the variables that curl reads (curl(1), "ENVIRONMENT"). Pure. */

/** A proxy address that nobody can dial; the message is for people and holds no password. */
export class ProxyAddressError extends Error {
  override name = "ProxyAddressError";
}

export interface ProxySettings {
  /** Proxy for `https:` and `http:` targets; null where none is set. */
  readonly https: URL | null;
  readonly http: URL | null;
  /** Hosts that are dialled directly. */
  readonly noProxy: readonly string[];
}

export interface ProxyChoice {
  /** Null: the connection is direct. */
  readonly proxy: URL | null;
  readonly why: "proxy" | "loopback" | "no-proxy" | "none";
}

function readProxy(text: string, from: string): URL {
  const full = text.includes("://") ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (url === null || url.hostname === "") throw new ProxyAddressError(`${from} is not an address. Write http://proxy.example:3128.`);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new ProxyAddressError(`${from} names a ${url.protocol.slice(0, -1)} proxy. Only http:// and https:// proxies work.`);
  return url;
}

/**
 * Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; the lower-case name wins, and an empty variable is unset.
 *
 * @param named the value of `--proxy`, which takes the place of the variables; `NO_PROXY` still holds
 * @throws ProxyAddressError for an address that is no HTTP proxy
 */
export function readProxySettings(env: Readonly<Record<string, string | undefined>>, named: string | undefined): ProxySettings {
  const variable = (name: string): { readonly text: string; readonly from: string } | null => {
    const from = [name.toLowerCase(), name].find((each) => (env[each] ?? "") !== "");
    return from === undefined ? null : { text: env[from] ?? "", from };
  };
  const noProxy = (variable("NO_PROXY")?.text ?? "").toLowerCase().split(/[\s,]+/);
  const pick = (...names: readonly string[]): URL | null => {
    if (named !== undefined && named !== "") return readProxy(named, "--proxy");
    const found = names.map(variable).find((each) => each !== null) ?? null;
    return found === null ? null : readProxy(found.text, found.from);
  };
  return {
    https: pick("HTTPS_PROXY", "ALL_PROXY"),
    http: pick("HTTP_PROXY", "ALL_PROXY"),
    noProxy: noProxy.filter((entry) => entry !== ""),
  };
}

/** @param hostname as `URL` spells it @returns whether it names this machine, by address or by name (RFC 6761 §6.3) */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.toLowerCase().replace(/\.$/, "");
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function isExempt(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  const [, name = "", wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry.startsWith("[") || !/:.*:/.test(entry) ? entry : `[${entry}]`) ?? [];
  if (wantedPort !== undefined && wantedPort !== port) return false;
  const bare = name.replace(/^\*?\./, "");
  return bare !== "" && (host === bare || host.endsWith(`.${bare}`));
}

/** @returns the proxy for a target, or why there is none; loopback is always direct */
export function proxyFor(settings: ProxySettings, url: URL): ProxyChoice {
  if (isLoopbackHost(url.hostname)) return { proxy: null, why: "loopback" };
  const isSecure = url.protocol === "https:" || url.protocol === "wss:";
  const proxy = isSecure ? settings.https : settings.http;
  if (proxy === null) return { proxy: null, why: "none" };
  const port = url.port || (isSecure ? "443" : "80");
  if (settings.noProxy.some((entry) => isExempt(entry, url.hostname.toLowerCase(), port))) return { proxy: null, why: "no-proxy" };
  return { proxy, why: "proxy" };
}

/** @returns a proxy as it may be shown: without name and password */
export function shownProxy(proxy: URL): string {
  return `${proxy.protocol}//${proxy.host}`;
}

/** Why a dial to the control plane failed, in words for the person at the machine, with the cure. Pure. */

/** What happened: a system or TLS code, or what a proxy answered. */
export interface DialFailure {
  /** As Node names it (`ECONNREFUSED`, `SELF_SIGNED_CERT_IN_CHAIN`, …), or `PROXY_STATUS`. */
  readonly code: string;
  readonly message: string;
  /** Where: `host:port`. */
  readonly target: string;
  /** The proxy on the way, without its password; null for a direct dial. */
  readonly proxy: string | null;
  /** Whether the proxy itself failed. */
  readonly isProxy: boolean;
  /** The proxy's answer to CONNECT (RFC 9110 §9.3.6). */
  readonly status?: number;
}

const EXPIRED: readonly string[] = ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"];
const UNTRUSTED: readonly string[] = [
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_UNTRUSTED",
  "INVALID_CA",
];
const SILENT: readonly string[] = ["ETIMEDOUT", "ESOCKETTIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN"];

function tlsText(code: string, where: string): string | null {
  if (UNTRUSTED.includes(code))
    return `This machine does not trust the certificate of ${where} (${code}). If your network inspects TLS, set NODE_EXTRA_CA_CERTS to its CA file.`;
  if (EXPIRED.includes(code)) return `The certificate of ${where} is out of date (${code}). Check this machine's clock.`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `The certificate belongs to another name than ${where} (${code}). Something on the way answers in its place.`;
  if (code === "EPROTO" || code.startsWith("ERR_SSL_"))
    return `${where} does not speak TLS there (${code}). Check the address and its port.`;
  return null;
}

/** @returns one or two sentences: address, cause with its code, cure */
export function dialCause(failure: DialFailure): string {
  const { code, message, target, proxy, isProxy, status } = failure;
  if (isProxy && status === 407)
    return `The proxy ${proxy ?? ""} wants a name and a password (407). Write them as http://name:password@host:port.`;
  if (isProxy && status !== undefined)
    return `The proxy ${proxy ?? ""} refuses ${target} (${status}). Allow it there, or list it in NO_PROXY.`;
  const where = isProxy ? `the proxy ${proxy ?? ""}` : target;
  const tls = tlsText(code, where);
  if (tls !== null) return tls;
  const Where = isProxy ? `The proxy ${proxy ?? ""}` : target;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    const hint = proxy === null ? " Behind a proxy, set HTTPS_PROXY or --proxy." : "";
    return `The name of ${where} cannot be resolved (${code}). Check the address and DNS.${hint}`;
  }
  if (code === "ECONNREFUSED") return `${Where} refuses connections (${code}). Check the address${isProxy ? " of the proxy" : ""}.`;
  if (SILENT.includes(code)) {
    const hint = proxy === null ? "; behind a proxy, set HTTPS_PROXY or --proxy" : "";
    return `${Where} does not answer (${code}). Check the network${hint}.`;
  }
  if (code === "ECONNRESET" || code === "EPIPE") return `${Where} ended the connection (${code}).`;
  return `${Where}: ${message} (${code}).`;
}

/** An HTTP answer where the control plane's own was expected. */
export interface OddAnswer {
  readonly status: number;
  /** `error.code` of the control plane's body; null when the body is another's. */
  readonly code: string | null;
  readonly retryAfterMs: number;
  /** Where a redirect leads. */
  readonly location: string | null;
}

/** @returns why the link was answered with HTTP instead of a WebSocket: status, code, wait, and what it may mean */
export function answerCause({ status, code, retryAfterMs, location }: OddAnswer): string {
  const wait = retryAfterMs > 0 ? `; it asks to wait ${Math.ceil(retryAfterMs / 1_000)} s` : "";
  const what = `the control plane's address answered ${status}${code === null ? "" : ` (${code})`}${wait}`;
  if (code !== null) return what;
  if (status === 407) return `${what}: a proxy wants a name and a password`;
  if (status >= 300 && status < 400)
    return `${what} and leads to ${location ?? "another address"}: a captive portal or a moved control plane`;
  if (status < 300) return `${what} instead of opening a WebSocket: something on the way answers in its place`;
  if (status >= 520 && status <= 530) return `${what}: Cloudflare does not reach the control plane`;
  if (status === 403) return `${what}: a firewall or proxy on the way may refuse WebSockets`;
  return what;
}

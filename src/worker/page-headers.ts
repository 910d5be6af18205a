/** What a browser may do with a page of ours (PROTOCOL.md PG): nothing that the page does not need. */
import { isHttpsOnly, readConfig } from "./config.ts";
import type { Env } from "./env.ts";

/** CSP sources of the approval page's one script and one style, written in by scripts/build.ts. A Worker bundled otherwise lets no script run. */
declare const APPROVE_SCRIPT_HASH: string | undefined;
declare const APPROVE_STYLE_HASH: string | undefined;

const approveScript = typeof APPROVE_SCRIPT_HASH === "string" ? `'${APPROVE_SCRIPT_HASH}'` : "'none'";
const approveStyle = typeof APPROVE_STYLE_HASH === "string" ? `'${APPROVE_STYLE_HASH}'` : "'none'";

/** No markup from text, no framing, no base: true of every page. */
const ALWAYS = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const OWN_FILES = "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'";
const NO_DEVICES = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), hid=()";
/** Only the approval origin may ask for a passkey, and only in its own top-level page. */
const NO_PASSKEYS = "publickey-credentials-get=(), publickey-credentials-create=()";
const OWN_PASSKEYS = "publickey-credentials-get=(self), publickey-credentials-create=(self)";
/** Two years (RFC 6797). */
const HSTS = "max-age=63072000";

function headers(
  env: Env,
  page: { readonly csp: string; readonly permissions: string; readonly referrer: string; readonly cache: string },
): Headers {
  const result = new Headers({
    "content-type": "text/html; charset=utf-8",
    "cache-control": page.cache,
    "content-security-policy": `${ALWAYS}; ${page.csp}`,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": page.referrer,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": `${NO_DEVICES}, ${page.permissions}`,
  });
  if (isHttpsOnly(env)) result.set("strict-transport-security", `${HSTS}; includeSubDomains`);
  return result;
}

/** The dashboard, and its script and style. */
export function dashboardHeaders(env: Env): Headers {
  return headers(env, { csp: `${OWN_FILES}; form-action 'self'`, permissions: NO_PASSKEYS, referrer: "no-referrer", cache: "no-cache" });
}

/** The approval page: one document, whose script and style run because their hashes are named here. */
export function approveHeaders(env: Env): Headers {
  const { protocol } = new URL(readConfig(env).appOrigin);
  const forms = `form-action ${protocol}//*.${env.GATEWAY_DOMAIN}`;
  const csp = `script-src ${approveScript}; style-src ${approveStyle}; img-src data:; connect-src 'self'; ${forms}`;
  // With `no-referrer` a browser sends `Origin: null` on the form post back to the door, which then could not tell who posts.
  // `no-transform`: a proxy that rewrites the page would make it another one than was built.
  const page = headers(env, { csp, permissions: OWN_PASSKEYS, referrer: "strict-origin", cache: "no-cache, no-transform" });
  page.set("cross-origin-embedder-policy", "require-corp");
  return page;
}

/** The door, at a gateway's own origin. */
export function doorHeaders(env: Env): Headers {
  const result = headers(env, {
    csp: `${OWN_FILES}; form-action 'none'`,
    permissions: NO_PASSKEYS,
    referrer: "no-referrer",
    cache: "no-store",
  });
  // Names below a gateway's are not ours to speak for.
  if (isHttpsOnly(env)) result.set("strict-transport-security", HSTS);
  return result;
}

/** What this browser says of itself: shown to the owner as a claim, never believed. */
import type { Claims } from "../protocol/door-messages.ts";

/** @returns browser, platform and a name made of both, from the user agent string */
export function claims(): Claims {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent)
    ? "Edge"
    : /Firefox\//.test(agent)
      ? "Firefox"
      : /Chrom(e|ium)\//.test(agent)
        ? "Chrome"
        : /Safari\//.test(agent)
          ? "Safari"
          : "Browser";
  const platform = /iPhone/.test(agent)
    ? "iPhone"
    : /iPad/.test(agent)
      ? "iPad"
      : /Android/.test(agent)
        ? "Android"
        : /Mac OS/.test(agent)
          ? "Mac"
          : /Windows/.test(agent)
            ? "Windows"
            : /Linux/.test(agent)
              ? "Linux"
              : "Unknown";
  return { name: `${browser} on ${platform}`, platform, browser };
}

/** Apps that open links in a browser of their own, which forgets its data or shares none with the real one. */
const IN_APP = /Telegram|MicroMessenger|Instagram|FBAN|FBAV|WhatsApp|Snapchat|LinkedInApp|BytedanceWebview|; wv\)|\bLine\//;

export function isInsideAnotherApp(): boolean {
  return IN_APP.test(navigator.userAgent);
}

/** Addresses of the dashboard. */

type FixedView = "overview" | "start" | "add-gateway" | "activity" | "account";

export type Path = { readonly view: FixedView | "not-found" } | { readonly view: "gateway" | "connect"; readonly gateway: string };

const FIXED: Readonly<Record<string, FixedView>> = {
  "/": "overview",
  "/start": "start",
  "/gateways/new": "add-gateway",
  "/activity": "activity",
  "/account": "account",
};

/** @returns the view of an address; anything that is none of ours is `not-found` */
export function readPath(pathname: string): Path {
  const path = pathname.replace(/(?<=[^/])\/$/, "");
  const view = Object.hasOwn(FIXED, path) ? FIXED[path] : undefined;
  if (view !== undefined) return { view };
  const [, gateway, connect] = /^\/gateways\/([a-z2-7]{23})(\/connect)?$/.exec(path) ?? [];
  if (gateway === undefined) return { view: "not-found" };
  return { view: connect === undefined ? "gateway" : "connect", gateway };
}

/** @returns a path of this origin that a sign-in may lead back to: `//host` and `/\host` would leave it */
export function safePath(wanted: string | null): string {
  return wanted !== null && /^\/(?![/\\])/.test(wanted) ? wanted : "/";
}

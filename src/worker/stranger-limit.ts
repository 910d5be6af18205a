/** What an address that nobody knows may ask for, before anything else is done for it (PROTOCOL.md AB5). */
import { addressGroup, addressSite } from "../core/http/client-ip.ts";
import type { Env } from "./env.ts";

/** Budgets that are apart: what is spent in one keeps nobody from another. */
export type StrangerBudget = "" | "token" | "link";

/**
 * Takes one from the budget of the request's address, and from its IPv6 site's.
 *
 * @param budget which of the address's budgets
 * @returns whether both had one left
 */
export async function mayStrangerAsk(request: Request, env: Env, budget: StrangerBudget = ""): Promise<boolean> {
  const address = request.headers.get("cf-connecting-ip") ?? "local";
  const of = (key: string): string => (budget === "" ? key : `${budget} ${key}`);
  if (!(await env.STRANGER_LIMIT.limit({ key: of(addressGroup(address)) })).success) return false;
  const site = addressSite(address);
  return site === null || (await env.STRANGER_SITE_LIMIT.limit({ key: of(site) })).success;
}

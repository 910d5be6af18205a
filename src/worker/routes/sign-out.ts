/** Signing out: the same on the app origin and on the approval origin, each with its own cookie. */
import type * as z from "zod";
import { signOutSchema } from "../../protocol/approval-api.ts";
import { endAllSessions, endSession, endedCookie } from "../auth/account-session.ts";
import { route } from "./checked-route.ts";

/** @returns the route under this path */
export function signOutAt(path: string) {
  return route<z.infer<typeof signOutSchema>>({
    method: "POST",
    path,
    summary: "Ends this session, or all of them on every origin",
    auth: "account",
    body: signOutSchema,
    run: async ({ body, env, session }) => {
      if (body.everywhere) await endAllSessions(env, session.account);
      else await endSession(env, session);
      return { json: {}, cookies: [endedCookie()] };
    },
  });
}

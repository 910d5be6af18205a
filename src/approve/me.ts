/** Who is signed in here. */
import type * as z from "zod";
import type { meSchema } from "../protocol/approval-api.ts";
import { ApiFailure, patientCall } from "./page.ts";

export type Me = z.infer<typeof meSchema>;

/** @returns the signed-in person, or null */
export async function me(): Promise<Me | null> {
  try {
    return await patientCall<Me>("GET", "/api/auth/me");
  } catch (error) {
    if (error instanceof ApiFailure && error.code === "not-signed-in") return null;
    throw error;
  }
}

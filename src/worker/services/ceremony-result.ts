/** What a ceremony's refusal means to an API client. */
import type { Ceremony } from "../../core/trust/ceremony.ts";
import type { CeremonyResult } from "../enrolment/rpc.ts";
import { ApiError } from "../respond.ts";

/** @returns the ceremony; throws ApiError for a refusal */
export function ceremonyIn(result: CeremonyResult): Ceremony {
  if (result.ok) return result.value;
  throw new ApiError(result.refusal === "code-died" ? "code-invalid" : result.refusal);
}

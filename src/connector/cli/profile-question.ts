/** Which of several OpenClaw profiles is meant (PROTOCOL.md OC5). */
import { OpenclawConfig, SeveralProfilesError } from "../openclaw/config-file.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Asks a person, where OpenClaw could be several.
 *
 * @param env gets `OPENCLAW_PROFILE` for the rest of this process
 * @throws SeveralProfilesError where nobody can be asked, or the answer is none of them; DiscoverError for a profile that is none
 */
export async function chooseProfile(env: NodeJS.ProcessEnv, terminal: Pick<Terminal, "isInteractive" | "ask">): Promise<void> {
  try {
    // Only looks.
    void new OpenclawConfig(env);
  } catch (error) {
    if (!(error instanceof SeveralProfilesError) || !terminal.isInteractive) throw error;
    const answer = await terminal.ask(`Several OpenClaw profiles are here: ${error.profiles.join(", ")}. Which one? `);
    if (!error.profiles.includes(answer)) throw error;
    env["OPENCLAW_PROFILE"] = answer;
  }
}

/** Whether this program can run here at all. Old Nodes read this file: it imports nothing. */

/** As `engines` of the shipped package. */
const OLDEST_NODE = [22, 19] as const;

/**
 * @param version as `process.versions.node`
 * @param platform as `process.platform`
 * @returns what keeps the program from running, with the cure; null when nothing does
 */
export function startProblem(version: string, platform: string): string | null {
  if (platform === "win32") return "Gatehouse's connector runs on Linux and macOS. On Windows run it inside WSL: wsl --install";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor, wantedMinor] = OLDEST_NODE;
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return null;
  return `Gatehouse's connector needs Node ${wantedMajor}.${wantedMinor} or newer. This is Node ${version}. Install a newer one, or use the container node:24-slim.`;
}

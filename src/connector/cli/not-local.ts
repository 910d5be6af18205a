/** What to do when OpenClaw takes this connector for a remote client (PROTOCOL.md R16). */
import { composeService, dockerLine } from "../../core/words/container-lines.ts";
import { VERSION } from "./options.ts";

/**
 * @param stateDir this machine's state folder: in the container the same connector goes on, with the same key
 * @param appOrigin where the program comes from; null when this machine is not enrolled
 * @returns the cause, and the lines that run the connector in OpenClaw's own network
 */
export function notLocalCure(stateDir: string, appOrigin: string | null): string {
  const words = `npx -y ${appOrigin ?? "<your Gatehouse>"}/connector-${VERSION}.tgz run`;
  return `OpenClaw does not see this connector as local: it probably runs in a container. Run the connector in its network.
Replace "openclaw" by that container's name, stop this connector, set OPENCLAW_GATEWAY_TOKEN, then run:
  ${dockerLine({ words, keep: true, state: stateDir })}
Or add this to its Compose file:
${composeService({ words, state: stateDir })}`;
}

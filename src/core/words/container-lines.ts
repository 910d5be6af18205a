/** How the connector is started in the network of a container that runs OpenClaw: the page and the machine say the same. */

/** Has npx, and a Node that the connector runs on. */
export const CONTAINER_IMAGE = "node:24-slim";

/**
 * @param words what runs there, `npx …`
 * @param keep starts it in the background for good; else once, on this terminal
 * @param state folder or volume that holds the connector's key
 * @returns one `docker run` beside a container named `openclaw`
 */
export function dockerLine({ words, keep, state }: { readonly words: string; readonly keep: boolean; readonly state: string }): string {
  const how = keep ? "-d --name gatehouse --restart unless-stopped" : "-it --name gatehouse";
  return `docker run ${how} --network container:openclaw -e OPENCLAW_GATEWAY_TOKEN -e GATEHOUSE_STATE=/state -v ${state}:/state ${CONTAINER_IMAGE} ${words}`;
}

/**
 * @param words what runs there, `npx …`
 * @param state folder or volume that holds the connector's key
 * @returns the lines below `services:` of a Compose file whose OpenClaw is the service `openclaw`
 */
export function composeService({ words, state }: { readonly words: string; readonly state: string }): string {
  return `  gatehouse:
    image: ${CONTAINER_IMAGE}
    network_mode: "service:openclaw"
    environment:
      GATEHOUSE_STATE: /state
      OPENCLAW_GATEWAY_TOKEN: \${OPENCLAW_GATEWAY_TOKEN}
    volumes:
      - ${state}:/state
    command: ${words}
    restart: unless-stopped`;
}

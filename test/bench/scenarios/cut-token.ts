/** Cut now on a page that is connected and paired: how long until the gateway's own token is dead. */
import { GatewayClient, newKey } from "../../support/gateway-client.ts";
import { Load, closeSockets, openSocket, openSockets, spread } from "../load.ts";
import { LOADED } from "./scenario.ts";
import type { OwnScenario } from "./scenario.ts";
import { ticking } from "./ticking.ts";

const RUNS_OF_TOKENS = 50;
/** A device that came through the room, for the demo gateway; a public address that is nobody's. */
const CONTROL = {
  client: { id: "gateway-client", mode: "backend" },
  scopes: ["operator.pairing", "operator.admin", "operator.read"],
} as const;

export const cutToken: OwnScenario = {
  name: "cut-token",
  about: `Cut now on a device whose page is connected and paired through the room, beside ${LOADED} others under full load: from the owner's request to the last frame that still reached it, and to the gateway's first refusal of its own device token, tried over and over on a path that Gatehouse does not see; goals p99 100 ms and 1 s`,
  longestMs: 120_000,
  run: async (own, { cuts }, note) => {
    const runs = Math.min(cuts, RUNS_OF_TOKENS);
    const neighbours = await openSockets(LOADED, LOADED, (socket) => own.target(socket));
    const load = new Load(neighbours, { inFlight: 1, bytes: 128 });
    const control = await GatewayClient.dial(own.gatewayPort);
    await control.connect({ ...CONTROL, auth: { token: own.token } });
    const [lastFrame, dead, answered, gap]: [number[], number[], number[], number[]] = [[], [], [], []];
    let signed = 0;
    for (let i = 0; i < runs; i += 1) {
      const device = await own.admit();
      const key = newKey();
      const first = await GatewayClient.dial(own.control.port, device.headers);
      // The connector adds the secret, sees the pairing request and approves it; the next try is connected, as the stock page's is.
      await first.connect({ key, scopes: ["operator.read"], auth: {} });
      await first.closed;
      let page = first;
      let token = "";
      while (token === "") {
        page = await GatewayClient.dial(own.control.port, device.headers);
        const hello = await page.connect({ key, scopes: ["operator.read"], auth: {} });
        const auth = hello.payload?.["auth"] as { deviceToken?: string } | undefined;
        token = auth?.deviceToken ?? "";
        if (token === "") await page.closed;
      }
      const ticker = await openSocket(own.targetOf(device));
      const lastAt = await ticking(ticker);
      let deadAt: number | null = null;
      let triedAt = performance.now();
      const origin = String(device.headers["origin"]);
      const direct = { origin, "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "x-forwarded-host": new URL(origin).host };
      let isTried: () => void = () => undefined;
      const firstTry = new Promise<void>((resolve) => {
        isTried = resolve;
      });
      const trying = (async () => {
        while (deadAt === null) {
          const client = await GatewayClient.dial(own.gatewayPort, direct);
          const answer = await client.connect({ key, scopes: ["operator.read"], auth: { deviceToken: token } });
          const nowMs = performance.now();
          if (answer.error === undefined) {
            client.close();
            triedAt = nowMs;
            isTried();
            continue;
          }
          deadAt = nowMs;
          gap.push(nowMs - triedAt);
        }
        return deadAt;
      })();
      // The token works until then.
      await Promise.race([firstTry, trying]);
      const startedAt = performance.now();
      const answer = own.person.cut(own.gateway, device.id).then((receipt) => ({ receipt, atMs: performance.now() }));
      const [{ receipt, atMs }, ended] = await Promise.all([answer, trying, ticker.closed]);
      lastFrame.push(Math.max(0, lastAt() - startedAt));
      dead.push(ended - startedAt);
      answered.push(atMs - startedAt);
      if (receipt.isSigned && receipt.gateway.state === "done") signed += 1;
    }
    control.close();
    await load.stop();
    await closeSockets(neighbours);
    note(`${signed} of ${runs} receipts signed and done with the answer`);
    return {
      runs,
      ...spread("last frame", lastFrame),
      ...spread("gateway token dead", dead),
      ...spread("signed receipt", answered),
      ...spread("between two tries", gap),
    };
  },
};

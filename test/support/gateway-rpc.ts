/** A local control client of the tests: asks a gateway what it really holds. */
import { WebSocket } from "ws";

export interface PairedDevice {
  readonly deviceId: string;
  readonly approvedVia: string;
  readonly clientId?: string;
  readonly scopes: readonly string[];
}

interface Frame {
  readonly type: string;
  readonly event?: string;
  readonly id?: string;
  readonly ok?: boolean;
  readonly payload?: unknown;
  readonly error?: { readonly message: string };
}

/** One call of the gateway's RPC over loopback. */
export async function gatewayRpc<T>(port: number, token: string, method: string, params: object = {}): Promise<T> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false });
  try {
    return await new Promise<T>((resolve, reject) => {
      ws.on("error", reject);
      ws.on("close", (code) => reject(new Error(`closed ${code}`)));
      ws.on("message", (data: Buffer) => {
        const frame = JSON.parse(data.toString("utf8")) as Frame;
        if (frame.event === "connect.challenge") {
          const client = { id: "gateway-client", version: "0.1.0", platform: "test", mode: "backend" };
          const scopes = ["operator.pairing", "operator.admin", "operator.read"];
          ws.send(
            JSON.stringify({
              type: "req",
              id: "1",
              method: "connect",
              params: { minProtocol: 4, maxProtocol: 4, client, role: "operator", scopes, auth: { token } },
            }),
          );
        } else if (frame.type === "res" && frame.id === "1" && frame.ok === true)
          ws.send(JSON.stringify({ type: "req", id: "2", method, params }));
        else if (frame.type === "res") {
          if (frame.ok === true) resolve(frame.payload as T);
          else reject(new Error(frame.error?.message ?? "refused"));
        }
      });
    });
  } finally {
    ws.terminate();
  }
}

export async function pairedDevices(port: number, token: string): Promise<readonly PairedDevice[]> {
  return (await gatewayRpc<{ paired: PairedDevice[] }>(port, token, "device.pair.list")).paired;
}

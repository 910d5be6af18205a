/** The room as the simulated platform calls it. No types of a runtime: checked from both sides. */
import type { RoomRpc } from "../../src/worker/room/rpc.ts";

export interface RoomPort extends Omit<RoomRpc, "fetch"> {
  fetch(request: never): Promise<object>;
  webSocketMessage(socket: object, data: string | ArrayBuffer): Promise<void> | void;
  webSocketClose(socket: object, code: number, reason: string, wasClean: boolean): void;
  alarm(): Promise<void>;
}

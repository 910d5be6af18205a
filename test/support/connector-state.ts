/** A connector's state folder with a key log, an owner and allowed devices: what `up` leaves behind, without any network. */
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Admitted } from "../../src/connector/trust/admissions.ts";
import { loadIdentity } from "../../src/connector/trust/identity.ts";
import type { Identity } from "../../src/connector/trust/identity.ts";
import { KeyLog } from "../../src/connector/trust/key-log-file.ts";
import { StateFiles } from "../../src/connector/state/state-files.ts";
import { deviceId, grantId } from "../../src/core/trust/digests.ts";
import type { GrantStatement, SignedByOwner } from "../../src/protocol/statements.ts";
import { fromBase64url } from "../../src/protocol/statement-encoding.ts";
import { newAuthenticator } from "./fake-authenticator.ts";
import type { Authenticator } from "./fake-authenticator.ts";
import { signedGenesis } from "./genesis.ts";
import { grantBytes, newDevice } from "./fake-device.ts";

export const TEST_GATEWAY = "abcdefghijklmnopqrstuvw";
export const TEST_ORIGIN = "http://gw.localhost:8787";
const APPROVE = "http://approve.localhost:8787";

export interface AllowedDevice {
  readonly device: string;
  readonly session: string;
  readonly grant: string;
}

export class ConnectorState {
  readonly files: StateFiles;
  readonly identity: Identity;
  readonly log: KeyLog;
  readonly owner: Authenticator;
  readonly admitted: Admitted;
  /** This machine's clock; tests move it. */
  nowMs = 1_800_000_000_000;
  #sessions = 0;

  private constructor(files: StateFiles, identity: Identity, log: KeyLog, owner: Authenticator) {
    this.files = files;
    this.identity = identity;
    this.log = log;
    this.owner = owner;
    this.admitted = new Admitted(files, log, () => this.nowMs);
  }

  /** @param appOrigin control plane that the connector dials */
  static async create(appOrigin = "http://127.0.0.1:1", id = TEST_GATEWAY): Promise<ConnectorState> {
    const files = new StateFiles(mkdtempSync(path.join(os.tmpdir(), "gatehouse-state-")));
    const identity = loadIdentity(files);
    const owner = await newAuthenticator(APPROVE);
    const gateway = { account: "a".repeat(26), origin: TEST_ORIGIN, approveOrigin: APPROVE, rpId: "approve.localhost" };
    const input = { gateway: id, account: gateway.account, connectorKey: identity.publicKey, approveOrigin: APPROVE };
    const signed = await signedGenesis(owner, { ...input, gatewayOrigin: TEST_ORIGIN });
    const body = { type: "genesis", signed } as const;
    const log = await KeyLog.create(files, identity, { gateway: id, atMs: 1_800_000_000_000, body });
    files.write("gateway", { gateway: id, name: "Home", appOrigin, generation: 0, ...gateway });
    return new ConnectorState(files, identity, log, owner);
  }

  /** What an owner signs for a new device. */
  async newGrant(
    changes: Partial<GrantStatement> = {},
  ): Promise<{ readonly device: string; readonly id: string; readonly signed: SignedByOwner }> {
    const { key } = await newDevice();
    const bytes = await grantBytes(TEST_GATEWAY, key, this.nowMs, { head: this.log.state.head.hash, ...changes });
    const signed = await this.owner.sign("grant", bytes);
    const statement = fromBase64url(signed.statement) ?? new Uint8Array();
    return { device: await deviceId(TEST_GATEWAY, key), id: await grantId(statement), signed };
  }

  /** A device with a grant and a session of one hour. @param openclawDevice whose key its session names */
  async allow(changes: Partial<GrantStatement> = {}, openclawDevice = "0".repeat(64)): Promise<AllowedDevice> {
    const { device, id: grant, signed } = await this.newGrant(changes);
    const kept = await this.admitted.keepGrant(signed);
    if (!kept.ok) throw new Error(kept.refusal);
    this.#sessions += 1;
    const session = String(this.#sessions).padStart(22, "s");
    const handover = { key: Buffer.from(openclawDevice, "hex").toString("base64url") };
    await this.admitted.keepSession({ session, device, grant, expiresAtMs: this.nowMs + 3_600_000 }, handover);
    return { device, session, grant };
  }
}

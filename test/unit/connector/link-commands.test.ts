/** What the room asks, when this machine cannot do it: answered, and never done later from memory. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AuditAnchor } from "../../../src/connector/audit-anchor.ts";
import { Cuts } from "../../../src/connector/cuts.ts";
import { DriftWatch } from "../../../src/connector/drift-watch.ts";
import { LinkCommands } from "../../../src/connector/link-commands.ts";
import { grantId } from "../../../src/core/digests.ts";
import type { ToRoom } from "../../../src/protocol/link-messages.ts";
import { grantBytes } from "../../support/fake-device.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

let state: ConnectorState;
let sent: ToRoom[];
let commands: LinkCommands;

beforeEach(async () => {
  state = await ConnectorState.create();
  sent = [];
  const { files, admitted, log, identity } = state;
  const gateway = new StubOpenclaw(1);
  const now = (): number => state.nowMs;
  const send = (message: ToRoom): void => void sent.push(message);
  commands = new LinkCommands({
    files,
    identity,
    admitted,
    log,
    gateway,
    now,
    send,
    audit: new AuditAnchor({ files, gateway: TEST_GATEWAY, now, send, onRewound: () => undefined }),
    cuts: new Cuts({ admitted, log, identity, gateway, now, endStreams: () => 0, send }),
    drift: new DriftWatch({ admitted, gateway, now, send }),
    welcomed: () => undefined,
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** The next command finds a state folder that cannot be read. */
function failOnce(): void {
  vi.spyOn(state.files, "read").mockImplementationOnce(() => {
    throw new Error("EIO");
  });
}

function take(message: Parameters<LinkCommands["take"]>[0]): void {
  commands.take(message, () => true);
}

const results = (): unknown[] => sent.flatMap((each) => (each.type === "result" ? [{ id: each.id, ok: each.ok }] : []));

test("[CUT4] [LINK7] a cut that failed here is left to the room to ask again: the owner may have allowed the device anew by then", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { device } = await state.allow();
  const key = state.admitted.grants().at(-1)?.statement.key;
  if (key === undefined) throw new Error("no grant");
  failOnce();
  take({ type: "cut", id: "cut-1", device, cutAtMs: 5, cut: "c".repeat(26), audit: { seq: 1, hash: "A".repeat(43) } });
  await vi.waitFor(() => expect(results()).toEqual([{ id: "cut-1", ok: false }]));
  const bytes = await grantBytes(TEST_GATEWAY, key, state.nowMs, { head: state.log.state.head.hash });
  const grant = await grantId(bytes);
  take({ type: "grant", id: "grant-1", grant, signed: await state.owner.sign("grant", bytes) });
  await vi.waitFor(() => expect(results().at(-1)).toEqual({ id: "grant-1", ok: true }));
  await vi.runAllTimersAsync();
  // One at a time: whatever was to be tried again is over when this is answered.
  take({ type: "nonce-request", id: "after" });
  await vi.waitFor(() => expect(sent.at(-1)).toMatchObject({ type: "nonce", id: "after" }));
  expect(results()).toHaveLength(2);
  expect(state.admitted.grant(grant)?.isRevoked).toBe(false);
});

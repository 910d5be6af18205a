/** Acts that an owner signed elsewhere, at the machine: judged against the pinned keys, used once, never kept for later. */
import { beforeEach, expect, test, vi } from "vitest";
import { LocalActs } from "../../../src/connector/trust/local-acts.ts";
import { StateFiles } from "../../../src/connector/state/state-files.ts";
import { LOCAL_ACT_MS, MAX_SPENT_ACTS } from "../../../src/protocol/limits.ts";
import type { ToConnector, ToRoom } from "../../../src/protocol/link-messages.ts";
import { LOCAL_ACT_KEYS, encodeBody } from "../../../src/protocol/statement-encoding.ts";
import type { LocalActStatement } from "../../../src/protocol/statements.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

const HASH = "h".repeat(43);

let state: ConnectorState;
let gateway: StubOpenclaw;
let sent: ToRoom[];
let acts: LocalActs;
let applied: string[];

function begin(): void {
  const { files, admitted, log } = state;
  acts = new LocalActs({ files, log, admitted, gateway, now: () => state.nowMs, send: (message) => void sent.push(message) });
}

beforeEach(async () => {
  state = await ConnectorState.create();
  [gateway, sent, applied] = [new StubOpenclaw(1), [], []];
  gateway.settings = { hash: HASH, lines: [{ path: "a", change: "add", value: "1" }] };
  gateway.answerSettings = (hash) => {
    applied.push(hash);
    return Promise.resolve("done");
  };
  begin();
});

async function signed(changes: Partial<LocalActStatement> = {}): Promise<Extract<ToConnector, { type: "local-act" }>> {
  const { nowMs, log, owner } = state;
  const body = { v: 1, gateway: TEST_GATEWAY, act: "apply-settings", subject: HASH, head: log.state.head.hash, issuedAtMs: nowMs, applyByMs: nowMs + LOCAL_ACT_MS, ...changes }; // prettier-ignore
  return { type: "local-act", id: "one", signed: await owner.sign("local-act", encodeBody(body, LOCAL_ACT_KEYS)) };
}

/** What was answered once everything that was begun is over. */
async function outcomes(): Promise<unknown[]> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  return sent.flatMap((each) => (each.type === "local-act-done" ? [each.outcome] : []));
}

test("[SA2] an owner's act is carried out and answered", async () => {
  await acts.take(await signed());
  await outcomes();
  expect([applied, sent]).toEqual([[HASH], [{ type: "local-act-done", id: "one", act: "apply-settings", outcome: "done" }]]);
});

test("[SA4] the same signature again does nothing, also after a restart", async () => {
  const act = await signed();
  await acts.take(act);
  await acts.take(act);
  begin();
  await acts.take(act);
  expect([await outcomes(), applied]).toEqual([["done", "spent", "spent"], [HASH]]);
});

test("[SA4] [case 47] a disk that cannot note the signature: nothing is done", async () => {
  vi.spyOn(state.files, "write").mockImplementation(() => {
    throw new Error("ENOSPC");
  });
  await acts.take(await signed());
  expect([await outcomes(), applied]).toEqual([["internal"], []]);
});

test("[SA4] used signatures are forgotten when their time is over, and bounded until then", async () => {
  const full = Array.from({ length: MAX_SPENT_ACTS }, () => ({ id: "s".repeat(43), applyByMs: state.nowMs + 1 }));
  state.files.write("spentActs", full);
  await acts.take(await signed());
  state.nowMs += 2;
  await acts.take(await signed());
  expect([await outcomes(), applied]).toEqual([["internal", "done"], [HASH]]);
  expect(new StateFiles(state.files.dir).read("spentActs")?.length).toBe(1);
});

test("[SA2] while an alarm stands, nothing is done", async () => {
  state.admitted.raiseAlarm({ alarm: "fork", atMs: state.nowMs });
  await acts.take(await signed());
  expect([await outcomes(), applied]).toEqual([["alarm"], []]);
});

test("[SA3] [case 29] a relay that shows the owner another diff gains nothing", async () => {
  await acts.take(await signed({ subject: "o".repeat(43) }));
  expect([await outcomes(), applied]).toEqual([["over"], []]);
});

test("[SA7] an act that takes its time holds up no other command", async () => {
  let finish: (outcome: "done") => void = () => undefined;
  gateway.answerSettings = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  await acts.take(await signed());
  expect(await outcomes()).toEqual([]);
  finish("done");
  expect(await outcomes()).toEqual(["done"]);
});

test("[SA7] what the person at the machine did is told without an id", () => {
  acts.doneHere("apply-settings", "done");
  expect(sent).toEqual([{ type: "local-act-done", id: null, act: "apply-settings", outcome: "done" }]);
});

test("[SA9] an owner has the secret changed; a subject makes it no such act", async () => {
  gateway.rotateSecret = () => Promise.resolve("done");
  await acts.take(await signed({ act: "rotate-secret", subject: null }));
  await acts.take(await signed({ act: "rotate-secret" }));
  await outcomes();
  expect(sent).toMatchObject(
    [
      { act: "rotate-secret", outcome: "bad-statement" },
      { act: "rotate-secret", outcome: "done" },
    ].toReversed(),
  );
});

/** Grants of one signed list at the machine: it judges each by itself, and what it refuses leaves the others valid. */
import { beforeEach, expect, test } from "vitest";
import { deviceId } from "../../../src/core/trust/digests.ts";
import { statementHash } from "../../../src/core/trust/statement-list.ts";
import type { GrantStatement, SignedByOwner } from "../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { grantBytes, newDevice } from "../../support/fake-device.ts";

let state: ConnectorState;

beforeEach(async () => {
  state = await ConnectorState.create();
});

interface Listed {
  readonly device: string;
  readonly signed: SignedByOwner;
}

/** One gesture over grants for devices of their own. @param changes what makes each another one */
async function list(changes: readonly Partial<GrantStatement>[], by = state.owner): Promise<Listed[]> {
  const made = await Promise.all(
    changes.map(async (change) => {
      const { key } = await newDevice();
      const gateway = change.gateway ?? TEST_GATEWAY;
      const common = { kind: "again", request: "f".repeat(26), head: state.log.state.head.hash } as const;
      return { device: await deviceId(gateway, key), bytes: await grantBytes(gateway, key, state.nowMs, { ...common, ...change }) };
    }),
  );
  const hashes = await Promise.all(made.map(({ bytes }) => statementHash("grant", bytes)));
  return Promise.all(made.map(async ({ device, bytes }) => ({ device, signed: await by.sign("grant", bytes, { list: () => hashes }) })));
}

async function refusalOf({ signed }: Listed): Promise<string | null> {
  const judged = await state.admitted.keepGrant(signed);
  return judged.ok ? null : judged.refusal;
}

test("[GR6] [OS3] of a list the machine refuses the grant for another gateway, above the policy, too long, ended or of another form, and takes the rest", async () => {
  await state.log.append({ type: "policy", policy: { maxAccess: "chat", maxExpiryMs: 7_200_000 } }, state.nowMs);
  const [first, foreign, wide, long, ended, shapeless, last] = (await list([
    { access: "chat" },
    { access: "chat", gateway: "zzzzzzzzzzzzzzzzzzzzzzz" },
    { access: "full" },
    { access: "chat", notAfterMs: state.nowMs + 7_200_001 },
    { access: "chat", notAfterMs: state.nowMs },
    { access: "chat", request: null },
    { access: "look" },
  ])) as [Listed, Listed, Listed, Listed, Listed, Listed, Listed];
  const answers = [];
  for (const each of [first, foreign, wide, long, ended, shapeless, last]) answers.push(await refusalOf(each));
  expect(answers).toEqual([null, "wrong-gateway", "over-ceiling", "over-ceiling", "expired", "bad-statement", null]);
  const live = state.admitted.grants().filter(({ isRevoked, isActivated }) => !isRevoked && isActivated);
  expect(live.map(({ statement }) => statement.device)).toEqual([first.device, last.device]);
});

test("[GR6] a list that somebody else's passkey signed admits nobody", async () => {
  const mallory = await newAuthenticator("http://approve.localhost:8787");
  for (const each of await list([{}, {}], mallory)) expect(await refusalOf(each)).toBe("unknown-owner-key");
  expect(state.admitted.grants()).toEqual([]);
});

/** Rows of D1 that somebody moved to another account, rewrote or swapped. */
import { newAccount } from "./account-things.ts";
import { expect, test } from "vitest";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { ownerKeysNow } from "../../src/worker/auth/passkey-seal.ts";
import { issueCode } from "../../src/worker/auth/one-time-code.ts";
import { newRecoveryCodes } from "../../src/worker/auth/recovery-code.ts";
import { replaceRecoveryCodes } from "../../src/worker/db/account-queries.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { newDevice } from "../support/fake-device.ts";
import { ask, config, dump, env, grantFor } from "./world.ts";

const move = (sql: string, ...values: readonly string[]): Promise<unknown> => env.DB.prepare(sql).bind(...values).run(); // prettier-ignore

test("[case 40] a passkey whose row was moved to another account, or written by hand, is nobody's: no sign-in, no owner key", async () => {
  const [victim, thief] = [await newAccount(), await newAccount()];
  const post = (path: string, body: object, cookie?: string): Promise<Response> =>
    ask(config.approveOrigin + path, { method: "POST", body, ...(cookie === undefined ? {} : { cookie }) });
  const nonce = async (): Promise<string> => (await (await post("/api/auth/nonce", {})).json<{ nonce: string }>()).nonce;
  const authenticator = await newAuthenticator(config.approveOrigin);
  const fresh = await nonce();
  const added = { nonce: fresh, name: "Mine", response: await authenticator.register(fresh) };
  expect((await post("/api/auth/passkeys", added, thief.cookies.approve)).status).toBe(200);
  const { credentialId } = authenticator.ownerKey;
  const signIn = async (): Promise<number> => {
    const challenge = await nonce();
    return (await post("/api/auth/sign-in", { nonce: challenge, response: await authenticator.signIn(challenge) })).status;
  };
  const ownerKeys = async (): Promise<string[]> => {
    return (await ownerKeysNow(env, victim.things.account)).map((key) => key.credentialId);
  };
  const belongsTo = (account: string) => move("UPDATE passkeys SET account_id = ? WHERE credential_id = ?", account, credentialId);
  expect(await signIn()).toBe(200);
  await belongsTo(victim.things.account);
  expect(await signIn()).toBe(403);
  expect(await ownerKeys()).toEqual([victim.things.passkey]);
  await belongsTo(thief.things.account);
  expect(await signIn()).toBe(200);
  // Another key under the victim's own credential.
  await move("UPDATE passkeys SET cose_key = (SELECT cose_key FROM passkeys WHERE credential_id = ?), jwk = (SELECT jwk FROM passkeys WHERE credential_id = ?) WHERE credential_id = ?", thief.things.passkey, thief.things.passkey, victim.things.passkey); // prettier-ignore
  expect(await ownerKeys()).toEqual([]);
});

test("[case 40] a recovery code whose row was moved to another account opens neither", async () => {
  const [victim, thief] = [await newAccount(), await newAccount()];
  const { codes, macs } = await newRecoveryCodes(env, thief.things.account);
  await replaceRecoveryCodes(env.DB, thief.things.account, macs);
  await move("UPDATE recovery_codes SET account_id = ? WHERE mac = ?", victim.things.account, macs[0] ?? "");
  const recover = (code: string): Promise<Response> => ask(`${config.approveOrigin}/api/auth/recover`, { method: "POST", body: { code } });
  expect((await recover(codes[0] ?? "")).status).toBe(410);
  expect((await recover(codes[1] ?? "")).status).toBe(200);
});

test("[case 40] a hand-off, an enrolment code and an invitation whose payload was rewritten or swapped with another's are worth nothing", async () => {
  const [a, b] = [await newAccount(), await newAccount()];
  const verifier = "v".repeat(43);
  const challenge = toBase64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
  const issue = (account: string) => issueCode(env, "handoff", { account, challenge }, 60_000);
  const redeem = async (code: string): Promise<number> =>
    (await ask(`${config.appOrigin}/api/session`, { method: "POST", body: { code, verifier } })).status;
  const selector = (code: string): string => code.slice(5, 16);
  const [mine, theirs, control] = [await issue(b.things.account), await issue(a.things.account), await issue(b.things.account)];
  expect(await redeem(control.code)).toBe(200);
  // The payload of A's code, seal and all, under the selector of a code that B holds.
  await move("UPDATE one_time_codes SET payload = (SELECT payload FROM one_time_codes WHERE selector = ?) WHERE selector = ?", selector(theirs.code), selector(mine.code)); // prettier-ignore
  expect(await redeem(mine.code)).toBe(410);
  const plain = await issue(b.things.account);
  await move("UPDATE one_time_codes SET payload = ? WHERE selector = ?", JSON.stringify({ account: a.things.account, challenge }), selector(plain.code)); // prettier-ignore
  expect(await redeem(plain.code)).toBe(410);
  const edited = await issue(b.things.account);
  await move("UPDATE one_time_codes SET payload = replace(payload, ?, ?) WHERE selector = ?", b.things.account, a.things.account, selector(edited.code)); // prettier-ignore
  expect(await redeem(edited.code)).toBe(410);
});

test("[case 40] a gateway whose row was moved to another account shows that account nothing of its room, and does nothing for it", async () => {
  const [victim, thief] = [await newAccount(), await newAccount()];
  await move("UPDATE gateways SET account_id = ? WHERE id = ?", thief.things.account, victim.things.gateway);
  const before = await dump(victim.world.room);
  const base = `${config.appOrigin}/api/gateways/${victim.things.gateway}`;
  const seen = await (await ask(base, { cookie: thief.cookies.app })).text();
  for (const id of [victim.things.device, victim.things.request, victim.things.account]) expect(seen).not.toContain(id);
  expect((await ask(`${base}/devices/${victim.things.device}/cut`, { method: "POST", cookie: thief.cookies.app })).status).toBe(404);
  const decision = `${config.approveOrigin}/api/decisions/${victim.things.gateway}/owner`;
  const { signed } = await grantFor(victim.world, { ...victim.waiting, device: await newDevice() }, { kind: "owner", request: null, activation: "A".repeat(43) }); // prettier-ignore
  expect((await ask(decision, { method: "POST", cookie: thief.cookies.approve, body: { signed } })).status).toBe(404);
  expect(await dump(victim.world.room)).toBe(before);
});

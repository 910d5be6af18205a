/** The table of roles, cell by cell, and the proof that binds an acceptance to its link. */
import { expect, test } from "vitest";
import { invitationProof, isInvitationProof, judgeAcceptance } from "../../../src/core/trust/invitation-proof.ts";
import { PERSON_ACTIONS, mayDo } from "../../../src/core/trust/roles.ts";
import type { PersonAction, RoleKind } from "../../../src/core/trust/roles.ts";
import { toBase64url } from "../../../src/protocol/statement-encoding.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";

const GATEWAY = "abcdefghijklmnopqrstuvw";

/** owner, approver, viewer, nobody. */
const TABLE: Readonly<Record<PersonAction, string>> = {
  see: "yes yes yes no",
  "see-activity": "yes yes yes no",
  decide: "yes yes no no",
  block: "yes yes no no",
  cut: "yes yes no no",
  answer: "yes no no no",
  manage: "yes no no no",
  persons: "yes no no no",
  keys: "yes no no no",
  leave: "yes yes yes no",
  end: "yes no no no",
};

test.each(PERSON_ACTIONS)("[PE1] who may %s", (action) => {
  const roles: readonly (RoleKind | null)[] = ["owner", "approver", "viewer", null];
  expect(roles.map((role) => (mayDo(role, action) ? "yes" : "no")).join(" ")).toBe(TABLE[action]);
});

test("[PE3] the link's secret proves one passkey for one gateway, and nothing else", async () => {
  const [ann, swapped] = [(await newAuthenticator("http://x.localhost")).ownerKey, (await newAuthenticator("http://x.localhost")).ownerKey];
  const [secret, other] = [toBase64url(new Uint8Array(32).fill(1)), toBase64url(new Uint8Array(32).fill(2))];
  const proof = await invitationProof(secret, GATEWAY, ann);
  expect(await isInvitationProof(secret, GATEWAY, ann, proof)).toBe(true);
  expect(await isInvitationProof(secret, GATEWAY, swapped, proof)).toBe(false);
  expect(await isInvitationProof(secret, GATEWAY, { ...ann, key: swapped.key }, proof)).toBe(false);
  expect(await isInvitationProof(secret, GATEWAY, { ...ann, credentialId: swapped.credentialId }, proof)).toBe(false);
  expect(await isInvitationProof(secret, `b${GATEWAY.slice(1)}`, ann, proof)).toBe(false);
  expect(await isInvitationProof(other, GATEWAY, ann, proof)).toBe(false);
  for (const broken of [null, "", "A".repeat(43), `${proof}A`]) expect(await isInvitationProof(secret, GATEWAY, ann, broken)).toBe(false);
  for (const broken of ["", "A", "A".repeat(42), `${secret}A`]) expect(await invitationProof(broken, GATEWAY, ann)).toBe(null);
});

test("[PE4] the owner's page signs for a proven passkey, asks for the words where it cannot tell, and never signs for one that fails", async () => {
  const [ann, swapped] = [(await newAuthenticator("http://x.localhost")).ownerKey, (await newAuthenticator("http://x.localhost")).ownerKey];
  const secret = toBase64url(new Uint8Array(32).fill(1));
  const proof = await invitationProof(secret, GATEWAY, ann);
  expect(await judgeAcceptance(secret, GATEWAY, ann, proof)).toBe("proven");
  expect(await judgeAcceptance(secret, GATEWAY, swapped, proof)).toBe("not-proven");
  expect(await judgeAcceptance(secret, GATEWAY, ann, "A".repeat(43))).toBe("not-proven");
  // A proof that was taken away is no proof: the words have to agree then.
  expect(await judgeAcceptance(secret, GATEWAY, swapped, null)).toBe("words");
  expect(await judgeAcceptance(null, GATEWAY, ann, proof)).toBe("words");
});

/** Reads the gateway's answer to `device.pair.list` (openclaw.md 4.1): only what a comparison needs, whatever else stands there. */
import * as z from "zod";
import type { PairedEntry } from "../../core/trust/drift.ts";

const text = z.string().catch("");
const texts = z.array(z.string()).catch([]);

const entrySchema = z.object({
  deviceId: z.string(),
  displayName: text,
  operatorLabel: text,
  platform: text,
  clientId: text,
  role: text,
  roles: texts,
  scopes: texts,
  approvedVia: text,
  approvedAtMs: z.number().nullable().catch(null),
  tokens: z.array(z.object({ role: text, scopes: texts })).catch([]),
});

const listSchema = z.object({ paired: z.array(entrySchema) });

/**
 * @param answer payload of `device.pair.list`
 * @returns the paired devices; roles and scopes are those of the record and of its tokens together
 * @throws ZodError when it is no such list
 */
export function readPaired(answer: unknown): readonly PairedEntry[] {
  return listSchema.parse(answer).paired.map((entry) => {
    const { deviceId, displayName, operatorLabel, platform, clientId, role, roles, scopes, approvedVia, approvedAtMs, tokens } = entry;
    return {
      id: deviceId,
      name: operatorLabel === "" ? displayName : operatorLabel,
      platform,
      client: clientId,
      roles: [...new Set([...(roles.length === 0 && role !== "" ? [role] : roles), ...tokens.map((token) => token.role)])],
      scopes: [...new Set([...scopes, ...tokens.flatMap((token) => token.scopes)])],
      approvedVia,
      approvedAtMs,
    };
  });
}

/** SHA-256 as Node has it: the same digests, sooner. */
import nodeCrypto from "node:crypto";

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(nodeCrypto.hash("sha256", bytes, "buffer"));

// The only platform names that protocol and core may use. All are pure: same input, same output, no I/O, no randomness.
interface TextEncoderPure {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}
interface TextDecoderPure {
  decode(input?: ArrayBuffer | ArrayBufferView): string;
}
declare const TextEncoder: { new (): TextEncoderPure };
declare const TextDecoder: { new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoderPure };
declare function atob(data: string): string;
declare function btoa(data: string): string;
interface PureCryptoKey {
  readonly type: string;
}
/** Digest, HMAC and signature checks only: deterministic, therefore allowed here. Key generation, signing and random numbers are arguments. */
declare const crypto: {
  readonly subtle: {
    digest(algorithm: "SHA-256", data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
    importKey(
      format: "jwk",
      key: object,
      algorithm: { name: string; namedCurve?: string; hash?: string },
      extractable: boolean,
      usages: ["verify"],
    ): Promise<PureCryptoKey>;
    importKey(
      format: "raw",
      key: Uint8Array<ArrayBuffer>,
      algorithm: { name: "HMAC"; hash: "SHA-256" },
      extractable: boolean,
      usages: ["sign" | "verify"],
    ): Promise<PureCryptoKey>;
    sign(algorithm: { name: "HMAC" }, key: PureCryptoKey, data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
    verify(
      algorithm: { name: string; hash?: string },
      key: PureCryptoKey,
      signature: Uint8Array<ArrayBuffer>,
      data: Uint8Array<ArrayBuffer>,
    ): Promise<boolean>;
  };
};

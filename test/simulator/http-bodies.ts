/** Requests, responses and body streams as a Worker has them, on plain promises: who reads wakes who writes, nothing is held between. */

/** A body that a visitor sends; what it puts in comes out in order. */
export class Body {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];
  #state: "open" | "ended" | "broken" = "open";
  #wake: (() => void) | null = null;
  isCancelled = false;

  static of(text: string): Body {
    const body = new Body();
    body.put(new Uint8Array(new TextEncoder().encode(text)));
    body.end();
    return body;
  }

  put(bytes: Uint8Array<ArrayBuffer>): void {
    this.#parts.push(bytes);
    this.#wake?.();
  }

  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake?.();
  }

  break(): void {
    if (this.#state === "open") this.#state = "broken";
    this.#wake?.();
  }

  getReader() {
    return {
      read: async (): Promise<{ done: boolean; value: Uint8Array<ArrayBuffer> | undefined }> => {
        for (;;) {
          const value = this.#parts.shift();
          if (value !== undefined) return { done: false, value };
          if (this.#state === "broken") throw new TypeError("the visitor went away");
          if (this.#state === "ended" || this.isCancelled) return { done: true, value: undefined };
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      },
      cancel: async (): Promise<void> => {
        this.isCancelled = true;
      },
    };
  }
}

/** What the Worker hands to a room. */
export class SimRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: Body | null;
  /** Never aborted: here a visitor that leaves shows by its bodies, as on a runtime that is late with the signal. */
  readonly signal = new AbortController().signal;

  constructor(url: string, init: { method?: string; headers?: Record<string, string>; body?: Body | null } = {}) {
    this.url = url;
    this.method = init.method ?? "GET";
    this.headers = new Headers(init.headers);
    this.body = init.body ?? null;
  }
}

interface Write {
  readonly bytes: Uint8Array;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** A stream without a buffer: a write is done when somebody took it. With a length it is held to it. */
export class IdentityTransform {
  readonly #writes: Write[] = [];
  readonly #expected: number | null;
  #passed = 0;
  #state: "open" | "closed" | "aborted" | "cancelled" = "open";
  #wake: (() => void) | null = null;
  #closedFailed: (error: Error) => void = () => undefined;

  constructor(expected?: number) {
    this.#expected = expected ?? null;
  }

  readonly readable = {
    onOver: (): void => undefined,
    /** @returns the next part, `end`, or `broken` when the writer gave up or the length does not fit */
    take: async (): Promise<Uint8Array | "end" | "broken"> => {
      for (;;) {
        const write = this.#writes.shift();
        if (write !== undefined) {
          this.#passed += write.bytes.byteLength;
          write.done();
          return write.bytes;
        }
        if (this.#state !== "open") this.readable.onOver();
        if (this.#state === "closed") return this.#expected !== null && this.#expected !== this.#passed ? "broken" : "end";
        if (this.#state !== "open") return "broken";
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    },
    cancel: (): void => {
      this.#end("cancelled");
    },
  };

  readonly writable = {
    getWriter: () => ({
      closed: new Promise<void>((_resolve, reject) => {
        this.#closedFailed = reject;
      }),
      write: (bytes: Uint8Array): Promise<void> => {
        if (this.#state !== "open") return Promise.reject(new TypeError("the stream is over"));
        return new Promise((resolve, reject) => {
          this.#writes.push({ bytes, done: resolve, failed: reject });
          this.#wake?.();
        });
      },
      close: async (): Promise<void> => {
        if (this.#state === "open") this.#state = "closed";
        this.#wake?.();
      },
      abort: async (): Promise<void> => {
        this.#end("aborted");
      },
    }),
  };

  #end(how: "aborted" | "cancelled"): void {
    if (this.#state !== "open" && this.#state !== "closed") return;
    this.#state = how;
    const error = new TypeError("the stream is over");
    for (const write of this.#writes.splice(0)) write.failed(error);
    this.#closedFailed(error);
    this.#wake?.();
  }
}

/** An answer of a room. */
export class SimResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string | null | IdentityTransform["readable"];
  readonly webSocket: object | null;

  constructor(
    body: string | null | IdentityTransform["readable"],
    init: { status?: number; headers?: Headers; webSocket?: object | null } = {},
  ) {
    this.status = init.status ?? 200;
    this.headers = init.headers ?? new Headers();
    this.body = body;
    this.webSocket = init.webSocket ?? null;
  }

  static json(value: unknown, init: { status?: number; headers?: Headers | Record<string, string> } = {}): SimResponse {
    return new SimResponse(JSON.stringify(value), { status: init.status ?? 200, headers: new Headers(init.headers) });
  }

  get text(): string {
    return typeof this.body === "string" ? this.body : "";
  }
}

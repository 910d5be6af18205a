/** What Docker makes of a network, without Docker: a network namespace, a bridge address on each side, and forwarders in docker-proxy's place. */
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import path from "node:path";
import { root, start } from "../../scripts/children.ts";
import type { Child } from "../../scripts/children.ts";

/** @throws Error naming the command and what a machine must have */
function ip(...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync("ip", words, { encoding: "utf8" });
  if (status === 0) return;
  const why = error === undefined ? stderr.trim() : error.message;
  const needs = "This test needs network namespaces: iproute2, and root with CAP_SYS_ADMIN and CAP_NET_ADMIN.";
  throw new Error(`${needs} \`ip ${words.join(" ")}\` failed: ${why}`);
}

export class ContainerNetwork {
  /** Stands before a command that runs inside (`StartOptions`). */
  readonly inside: readonly string[];
  readonly #name: string;
  /** This machine's side of the bridge, and the container's. */
  readonly #outer: string;
  readonly #inner: string;
  readonly #children: Child[] = [];
  #isMade = false;

  /**
   * Makes the namespace and its only way out.
   *
   * @throws Error naming what this machine lacks; then nothing is left behind
   */
  static make(): ContainerNetwork {
    const network = new ContainerNetwork();
    try {
      network.#make();
      return network;
    } catch (error) {
      network.#remove();
      throw error;
    }
  }

  private constructor() {
    const id = randomInt(1 << 14);
    this.#name = `gatehouse-${process.pid}-${id}`;
    this.inside = ["ip", "netns", "exec", this.#name];
    // A /30 of a private range (RFC 1918 §3): OpenClaw judges addresses.
    const third = 128 + (id >> 7);
    const fourth = (id & 0x3f) * 4;
    this.#outer = `10.213.${third}.${fourth + 1}`;
    this.#inner = `10.213.${third}.${fourth + 2}`;
  }

  #make(): void {
    const link = `gh${process.pid % 1_000_000}`;
    ip("netns", "add", this.#name);
    this.#isMade = true;
    ip("link", "add", `${link}o`, "type", "veth", "peer", "name", `${link}i`, "netns", this.#name);
    ip("address", "add", `${this.#outer}/30`, "dev", `${link}o`);
    ip("link", "set", `${link}o`, "up");
    ip("-n", this.#name, "address", "add", `${this.#inner}/30`, "dev", `${link}i`);
    ip("-n", this.#name, "link", "set", `${link}i`, "up");
    ip("-n", this.#name, "link", "set", "lo", "up");
  }

  async #forward(through: readonly string[], from: string, to: string, port: number): Promise<void> {
    const args = [path.join(root, "test/support/tcp-forwarder.ts"), from, String(port), to, String(port)];
    const child = start({ args, through, endsWithParent: true });
    this.#children.push(child);
    await child.line((line) => line === "ready", "The forwarder");
  }

  /** A published port: this machine's loopback leads to the container's own address, and arrives from the bridge. */
  publish(port: number): Promise<void> {
    return this.#forward([], "127.0.0.1", this.#inner, port);
  }

  /** The one thing that the container reaches: a port of this machine, under the same name. */
  async reach(port: number): Promise<void> {
    await this.#forward([], this.#outer, "127.0.0.1", port);
    await this.#forward(this.inside, "127.0.0.1", this.#outer, port);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.splice(0).map((child) => child.stop()));
    this.#remove();
  }

  /** The pair of links goes with the namespace. */
  #remove(): void {
    if (!this.#isMade) return;
    this.#isMade = false;
    ip("netns", "delete", this.#name);
  }
}

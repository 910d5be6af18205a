/** What most end-to-end tests begin with: a control plane, a gateway, its connector, and an owner in a browser who has claimed it as "Home". */
import type { Browser, Page } from "playwright-core";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import { launch, profile, withPasskeys } from "./browser.ts";
import { claim } from "./journey.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "./stack.ts";
import type { RunningConnector, Stack } from "./stack.ts";

/** A gateway on loopback. */
export interface RunningGateway {
  readonly port: number;
  readonly token: string;
  /** @param restartExpectedMs announced to those who are connected, as before a restart */
  stop(restartExpectedMs?: number): Promise<void>;
}

/** @returns the built-in stand-in */
export async function demoGateway({ port = 0, token = canary() } = {}): Promise<RunningGateway> {
  const demo = await startDemoGateway({ port, token });
  return { port: demo.port, token, stop: (restartExpectedMs) => demo.stop(restartExpectedMs) };
}

/** @returns the pinned real OpenClaw with an empty state */
export async function realGateway(): Promise<RunningGateway> {
  const command = await installOpenclaw(() => undefined);
  return runOpenclaw({ command, port: await freePort(), stateDir: await scratch(), token: canary() });
}

export interface ClaimedHome {
  readonly stack: Stack;
  readonly browser: Browser;
  /** Whoever starts it again puts it here. */
  gateway: RunningGateway;
  /** The one that was claimed; whoever starts another one puts it here, so that it is stopped. */
  connector: RunningConnector;
  /** Page of the owner's browser, which has the passkey. */
  readonly owner: Page;
  /** Path of the gateway in the dashboard. */
  readonly gatewayPath: string;
  readonly origin: string;
  /** Runs the connector against this gateway. */
  connect(args: readonly string[], stateDir: string): RunningConnector;
  /** A browser profile of its own, at the size of a phone. */
  newDevice(): Promise<Page>;
  toDashboard(): Promise<void>;
  stop(): Promise<void>;
}

export interface HomeOptions {
  /** Beside `up --yes`. */
  readonly args?: readonly string[];
  /** The control plane's own settings. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Gives the owner's page its passkeys; one that is built in where nothing is said. */
  readonly passkeys?: (owner: Page) => Promise<unknown>;
}

/** Starts everything and claims the gateway. What fails half-way leaves nothing running. */
export async function claimedHome(
  start: () => Promise<RunningGateway>,
  { args = [], vars = {}, passkeys = withPasskeys }: HomeOptions = {},
): Promise<ClaimedHome> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).toReversed()) await each();
  };
  try {
    const stack = await startStack(vars);
    stops.push(() => stack.stop());
    const home = { gateway: await start() } as { gateway: RunningGateway; connector?: RunningConnector };
    stops.push(() => home.gateway.stop());
    const browser = await launch();
    stops.push(() => browser.close());
    const connect = (args: readonly string[], stateDir: string): RunningConnector => {
      const { port: gatewayPort, token } = home.gateway;
      return startConnector({ args, stateDir, appOrigin: stack.control.appOrigin, gatewayPort, token });
    };
    const newPage = async (viewport?: { width: number; height: number }): Promise<Page> => {
      return await (await profile(browser, viewport)).newPage();
    };
    const newDevice = (): Promise<Page> => newPage({ width: 360, height: 740 });
    const connector = connect(["up", "--yes", ...args], await scratch());
    stops.push(async () => home.connector?.stop());
    home.connector = connector;
    const link = await connector.until((event) => event.event === "claim-link", "claim link");
    const owner = await newPage();
    await passkeys(owner);
    const gatewayPath = await claim(owner, String(link["url"]), "Home");
    await connector.until(isOnline, "self-test passed");
    const origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
    const toDashboard = async (): Promise<void> => {
      await owner.goto(stack.control.appOrigin + gatewayPath);
    };
    return Object.assign(home, { stack, browser, connector, owner, gatewayPath, origin, connect, newDevice, toDashboard, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits for the page's one h1. */
export function heading(page: Page, name: string): Promise<void> {
  return page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

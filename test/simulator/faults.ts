/** Makes the steps of a plan happen, and makes the world whole again. */
import { FRAME_OPEN, encodeFrame } from "../../src/protocol/frame.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import type { Device } from "./devices.ts";
import type { Timed } from "./plan.ts";
import { sim } from "./sim.ts";
import type { World } from "./world.ts";
import { ACCOUNT, GATEWAY, at, genesis } from "./world.ts";

/** A stream may be given up as slow this long after what made it so. */
const SLOW_AFTER_MS = 30_000;

export function happen(world: World, step: Timed): void {
  sim.trace(`! ${step.do}`);
  const device = "device" in step ? (world.devices[step.device] as Device) : null;
  const until = (undo: () => void, forMs: number): void => world.later(forMs, undo);
  switch (step.do) {
    case "talk":
      return void talk(world, device as Device, step);
    case "fetch":
      return void world.exchange(device as Device, step.script, step.paceMs);
    case "cut":
      return void world.owner.cut(device as Device);
    case "allow":
      (device as Device).isWanted = true;
      return;
    case "host-cut":
      (device as Device).isWanted = false;
      return cutOnHost(world, device as Device);
    case "room-sleeps":
      world.room.hibernate();
      return;
    case "room-crashes":
      world.breakBrowsers();
      return world.room.crash();
    case "room-stale": {
      const old = world.room.makeStale(step.isNoticed);
      if (old === null) return;
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      return until(() => world.room.endStale(old), Math.min(step.forMs, 8_000));
    }
    case "link-cut":
      for (const link of world.liveLinks()) link.cut();
      return;
    case "link-down":
      world.isLinkNetUp = false;
      for (const link of world.liveLinks()) link.cut();
      return until(() => (world.isLinkNetUp = true), step.forMs);
    case "link-half-open":
      world.halfOpenAtMs = at();
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      for (const link of world.liveLinks()) {
        link.out.isHole = true;
        link.peer.out.isHole = true;
      }
      return;
    case "link-slow":
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      world.linkRate = 10;
      world.linkExtraMs = sim.timing.int(0, 400);
      setLinks(world);
      return until(() => {
        world.linkRate = Number.POSITIVE_INFINITY;
        world.linkExtraMs = 0;
        setLinks(world);
      }, step.forMs);
    case "connector-killed":
      if (!world.connector.isAlive) return;
      world.connector.kill();
      {
        const killed = world.connector;
        return until(
          () => {
            if (world.connector === killed) world.startConnector();
          },
          sim.timing.int(200, 5_000),
        );
      }
    case "connector-stopped": {
      const { actor } = world.connector;
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      actor.isFrozen = true;
      return until(() => sim.scheduler.thaw(actor), step.forMs);
    }
    case "connector-moves": {
      const before = world.connector;
      if (!before.isAlive || before.actor.isFrozen || before.link?.isUp !== true || world.retired.some((each) => each.isAlive)) return;
      before.actor.isFrozen = true;
      world.retired.push(before);
      world.oracle.slow(SLOW_AFTER_MS);
      world.startCopy();
      const thawMs = sim.timing.int(2_000, 9_000);
      // It is switched off in the end, unless it is the connector again by then.
      until(() => {
        if (world.connector !== before) before.kill();
      }, thawMs + 6_000);
      return until(() => sim.scheduler.thaw(before.actor), thawMs);
    }
    case "power-cut": {
      const { connector } = world;
      if (!connector.isAlive || connector.disk.callsToPowerCut !== null) return;
      connector.disk.callsToPowerCut = step.calls;
      const forMs = Math.min(step.forMs, 10_000);
      world.oracle.slow(FOREVER_MS);
      const { disk } = connector;
      disk.onPowerCut = () => {
        const running = [world.connector, ...world.retired].find((each) => each.disk === disk && !each.actor.isDead);
        running?.cutPower();
        world.later(forMs, () => {
          disk.restorePower();
          if (running === world.connector) world.startConnector(disk);
        });
      };
      return;
    }
    case "disk-full": {
      const { disk } = world.connector;
      disk.isFull = true;
      return until(() => (disk.isFull = false), step.forMs);
    }
    case "gateway-down":
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      world.gateway.down();
      return until(() => world.gateway.up(), step.forMs);
    case "gateway-unsafe":
      world.gateway.setReport({ state: "unsafe", reason: "stranger-admitted" });
      return until(() => world.gateway.setReport({ state: world.gateway.isUp ? "online" : "offline" }), step.forMs);
    case "d1-down":
      world.d1.isDown = true;
      return until(() => (world.d1.isDown = false), step.forMs);
    case "inbox-down":
      world.isInboxDown = true;
      return until(() => (world.isInboxDown = false), step.forMs);
    case "browser-cut":
    case "browser-half-open":
      for (const visit of (device as Device).openSockets) {
        visit.isLegBroken = true;
        const { browser } = visit;
        if (browser === null) continue;
        if (step.do === "browser-cut") browser.cut();
        else {
          // The page's machine sleeps: nothing arrives, nobody says so; the edge gives the connection up after a while.
          browser.out.isHole = true;
          browser.peer.out.isHole = true;
          world.oracle.slow(120_000);
          world.later(sim.timing.int(20_000, 60_000), () => browser.cut());
        }
      }
      return;
    case "browser-frozen":
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      for (const { browser } of (device as Device).openSockets) {
        browser?.pause();
        until(() => browser?.resume(), step.forMs);
      }
      return;
    case "gateway-frozen":
      world.oracle.slow(step.forMs + SLOW_AFTER_MS);
      for (const { gateway } of (device as Device).openSockets) {
        gateway?.pause();
        until(() => gateway?.resume(), step.forMs);
      }
      return;
    case "flood":
      return void flood(world, device as Device, step);
    case "rogue-open":
      return rogueOpen(world);
    case "wrong-account":
      return void wrongAccount(world);
  }
}

const FOREVER_MS = 10_000_000;

function setLinks(world: World): void {
  for (const link of world.liveLinks())
    for (const out of [link.out, link.peer.out]) {
      out.rate = world.linkRate;
      out.extraMs = world.linkExtraMs;
    }
}

async function talk(world: World, device: Device, step: Extract<Timed, { do: "talk" }>): Promise<void> {
  const visit = await device.open();
  if (visit === null || !visit.isOpen) return;
  step.up.forEach((what, i) => world.later(100 + step.gapMs * i, () => visit.sendUp(what)));
  step.down.forEach((what, i) => world.later(100 + step.gapMs * i, () => visit.sendDown(what)));
  const endMs = 110 + step.gapMs * Math.max(step.up.length, step.down.length);
  if (step.end === "browser") world.later(endMs, () => visit.closeByBrowser());
  if (step.end === "gateway") world.later(endMs, () => visit.closeByGateway());
}

async function flood(world: World, device: Device, step: Extract<Timed, { do: "flood" }>): Promise<void> {
  const visit = await device.open();
  if (visit === null || !visit.isOpen) return;
  world.oracle.slow(step.forMs + SLOW_AFTER_MS);
  visit.browser?.pause();
  world.later(step.forMs, () => visit.browser?.resume());
  for (let i = 0; i < step.messages; i += 1) world.later(100 + 20 * i, () => visit.sendDown({ bytes: 1_048_576, isText: false }));
}

/** `gatehouse cut` on the machine, by somebody who does it again until it says that it is done. */
function cutOnHost(world: World, device: Device): void {
  const { connector } = world;
  let isDone = false;
  const cut = async (): Promise<void> => {
    try {
      await connector.link?.cutOnHost(device.id);
      isDone = connector.link !== null;
      if (isDone) world.oracle.cutAtConnector.add(device.id);
    } catch {
      // The disk refuses: the command says so.
    }
  };
  if (connector.isAlive) sim.scheduler.after(0, () => void cut(), connector.actor);
  world.later(3_000, () => {
    if (!isDone && !device.isWanted) cutOnHost(world, device);
  });
}

/** A relay that lies: it opens streams for sessions that no device has, or that another device has. */
function rogueOpen(world: World): void {
  const [link] = world.liveLinks();
  const [first, second] = world.devices;
  if (link === undefined || first === undefined || world.connector.link?.isUp !== true) return;
  const open = (session: string, device: string): void => {
    const said = {
      kind: "ws",
      method: "GET",
      path: "/rogue",
      headers: [],
      session,
      device,
      access: "full",
      clientIp: "198.51.100.9",
      host: "x",
      hasBody: false,
    };
    link.peer.send(encodeFrame(FRAME_OPEN, 0, 0xfff0_0000 + sim.entropy.int(1, 0xffff), utf8(JSON.stringify(said))));
  };
  open("r".repeat(32), first.id);
  if (second?.session !== null && second !== undefined) open(second.session.id, first.id);
}

async function wrongAccount(world: World): Promise<void> {
  const other = "b".repeat(26);
  const device = world.devices[0]?.id ?? "";
  const answers = await Promise.all([
    world.room.call((room) => room.snapshot({ account: other })),
    world.room.call((room) => room.cut({ account: other, device })),
    genesis(other).then((signed) =>
      world.room.call((room) => room.enrol({ account: other, gateway: GATEWAY, name: "Mine", genesis: signed })),
    ),
    world.room.call((room) => room.auditLines({ account: other, from: 0, isExport: false })),
  ]);
  for (const answer of answers)
    if (answer?.ok === true) sim.fail("I4", `an answer to account ${other.slice(0, 3)} instead of ${ACCOUNT.slice(0, 3)}`);
}

/** Ends every fault that still lasts. */
export function heal(world: World): void {
  sim.trace("! healed");
  world.isLinkNetUp = true;
  world.linkRate = Number.POSITIVE_INFINITY;
  world.linkExtraMs = 0;
  setLinks(world);
  world.isInboxDown = false;
  world.d1.isDown = false;
  const { connector } = world;
  connector.disk.callsToPowerCut = connector.disk.hasPower ? null : connector.disk.callsToPowerCut;
  connector.disk.isFull = false;
  if (!world.gateway.isUp || world.gateway.report.state !== "online") world.gateway.up();
}

/** What a scenario is, and how long and how much it may run. */
import type { Gatehouse } from "../peers/gatehouse.ts";
import type { Peer } from "../peers/peer.ts";

/** Bounds of one run, in time and count. */
export interface Pace {
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Devices that the scenario `one-room` admits and opens, one socket each. */
  readonly devicesOnOne: number;
  /** Rooms of the scenarios `idle-memory`, `many-rooms` and `herd`, each with a connector process of its own. */
  readonly rooms: number;
  /** Devices that are admitted on each of them. */
  readonly devicesPerRoom: number;
  /** Sockets that are open together over all of these rooms, in steps. */
  readonly steps: readonly [number, number, number];
  /** Devices that the scenario `cut` uses up, in all. */
  readonly cuts: number;
  /** How often `recover` kills, evicts and resets, each. */
  readonly kills: number;
  /** How often it lets the link fall silent, which takes seconds to be noticed. */
  readonly silences: number;
  /** Sockets that `churn` opens and closes. */
  readonly churns: number;
  /** Only to see whether it runs. */
  readonly isQuick: boolean;
}

export const FULL_PACE: Pace = {
  warmUpMs: 700,
  measureMs: 2_000,
  devicesOnOne: 1_000,
  rooms: 50,
  devicesPerRoom: 10,
  steps: [1_000, 5_000, 10_000],
  cuts: 200,
  kills: 6,
  silences: 3,
  churns: 5_000,
  isQuick: false,
};

/** What takes minutes where it is five times as much. */
export const LONG_PACE: Pace = { ...FULL_PACE, churns: 25_000 };

export const QUICK_PACE: Pace = {
  warmUpMs: 200,
  measureMs: 600,
  devicesOnOne: 60,
  rooms: 4,
  devicesPerRoom: 2,
  steps: [40, 80, 160],
  cuts: 10,
  kills: 1,
  silences: 1,
  churns: 200,
  isQuick: true,
};

/** Numbers by column; null where it could not be told. */
export type Figures = Readonly<Record<string, number | null>>;

/** Says what no number says; the same text twice is shown once. */
export type Note = (text: string) => void;

interface Bounds {
  readonly name: string;
  readonly about: string;
  /** One run of one peer that takes longer has failed; a minute unless given. */
  readonly longestMs?: number;
  /** Many rooms with a connector process each are started for it, and ended after the last such scenario. */
  readonly usesFleet?: true;
}

export interface Scenario extends Bounds {
  /** Columns with the digits to show. */
  readonly columns: Readonly<Record<string, number>>;
  /** Fewer rounds than elsewhere, where one takes long. */
  readonly maxRounds?: number;
  /** Peers that it makes sense for; all unless given. */
  readonly isFor?: (peer: Peer) => boolean;
  readonly run: (peer: Peer, pace: Pace, note: Note) => Promise<Figures>;
}

/** What only Gatehouse can do: the other peers know no devices. Each runs once, with many repetitions inside. */
export interface OwnScenario extends Bounds {
  readonly run: (own: Gatehouse, pace: Pace, note: Note) => Promise<Figures>;
}

/** Sockets under load beside what `cut` and `recover` do. */
export const LOADED = 20;

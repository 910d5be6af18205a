/** Every scenario, in the order in which they run. */
import { api } from "./api.ts";
import { churn } from "./churn.ts";
import { cut } from "./cut.ts";
import { cutToken } from "./cut-token.ts";
import { FAR } from "./far.ts";
import { FLEET } from "./fleet.ts";
import { herd } from "./herd.ts";
import { isolation } from "./isolation.ts";
import { oneRoom } from "./one-room.ts";
import { recover } from "./recover.ts";
import type { OwnScenario, Scenario } from "./scenario.ts";
import { slowReader } from "./slow-reader.ts";
import { LARGE, LARGEST, SMALL } from "./trips.ts";
import { wake } from "./wake.ts";

export const SCENARIOS: readonly Scenario[] = [...SMALL, ...LARGE, ...FAR, slowReader, oneRoom, LARGEST, churn, ...FLEET, wake];

export const OWN_SCENARIOS: readonly OwnScenario[] = [herd, isolation, cut, cutToken, recover, api];

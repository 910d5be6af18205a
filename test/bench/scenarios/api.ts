/** The dashboard's lists over HTTP. */
import { spread } from "../load.ts";
import type { OwnScenario } from "./scenario.ts";

const LISTS = 300;

export const api: OwnScenario = {
  name: "api",
  about: `${LISTS} times each over HTTP: the list of what waits for a decision, and the list of gateways; and how long admitting one device took at the start`,
  run: async (own, _pace, note) => {
    const figures: Record<string, number | null> = {};
    for (const [name, path] of [
      ["approvals", "/api/requests"],
      ["gateways", "/api/gateways"],
    ] as const) {
      const values: number[] = [];
      for (let i = 0; i < LISTS; i += 1) {
        const startedAt = performance.now();
        await own.person.get(path);
        values.push(performance.now() - startedAt);
      }
      Object.assign(figures, spread(name, values));
    }
    Object.assign(figures, spread("admission", own.admissionsMs));
    note(`${own.admissionsMs.length} devices were admitted on this gateway one at a time`);
    return figures;
  },
};

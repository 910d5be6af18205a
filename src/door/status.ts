/** The live status page of a gateway, for devices that are allowed on it. Asks again and again while somebody looks, ever more slowly while nothing changes. */
import { lookAgainMs } from "../core/http/door-flow.ts";
import type { StatusResponse } from "../protocol/door-messages.ts";
import { DOOR_PREFIX } from "../protocol/words.ts";
import { STATUS, stateText, statusFacts, statusTitle } from "./texts.ts";
import { clock, setText } from "./view.ts";

let timer: number | undefined;
/** Looks that found nothing new. */
let looks = 0;
let seen = "";
let isAsking = false;

/** @returns the room's answer; null when this device has no session here any more. @throws TypeError when nothing answers, Error for anything else */
async function ask(): Promise<StatusResponse | null> {
  const response = await fetch(`${DOOR_PREFIX}api/status`, { cache: "no-store" });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(String(response.status));
  return (await response.json()) as StatusResponse;
}

function showFacts(facts: readonly (readonly [name: string, value: string])[]): void {
  const list = document.getElementById("facts");
  list?.replaceChildren(
    ...facts.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const detail = document.createElement("dd");
      term.textContent = name;
      detail.textContent = value;
      return [term, detail];
    }),
  );
}

function show(answer: StatusResponse): void {
  const { gatewayName, gatewayState, lastSeenMs, restartExpectedMs, linkSinceMs, lastBreak } = answer;
  const what = JSON.stringify([gatewayName, gatewayState, restartExpectedMs, linkSinceMs, lastBreak]);
  looks = what === seen ? looks + 1 : 0;
  seen = what;
  document.title = `${statusTitle(gatewayState)} · ${gatewayName}`;
  setText("title", gatewayName);
  const text = stateText(gatewayState, lastSeenMs === null ? null : clock(lastSeenMs), restartExpectedMs);
  setText("text", text === "" ? STATUS.serving : text);
  showFacts(statusFacts(answer, clock));
  setText("small", "");
}

async function look(): Promise<void> {
  clearTimeout(timer);
  if (isAsking) return;
  isAsking = true;
  try {
    const answer = await ask();
    if (answer === null) {
      showFacts([]);
      setText("title", STATUS.overTitle);
      setText("text", STATUS.over);
      return;
    }
    show(answer);
  } catch {
    looks += 1;
    setText("small", STATUS.stale);
  } finally {
    isAsking = false;
  }
  // Nobody looks: nothing is asked, and the room sleeps.
  if (document.visibilityState === "visible") timer = window.setTimeout(() => void look(), lookAgainMs(looks));
}

function wake(): void {
  if (document.visibilityState !== "visible") return clearTimeout(timer);
  looks = 0;
  void look();
}

document.addEventListener("visibilitychange", wake);
for (const event of ["online", "pageshow"]) window.addEventListener(event, wake);
void look();

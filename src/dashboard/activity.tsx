/** What happened, newest first, page by page. */
import { useState } from "preact/hooks";
import type { Activity as ActivityPage } from "../protocol/api.ts";
import { call } from "./api.ts";
import { Act, Failure, useLoaded } from "./parts.tsx";
import { actionText, actorText } from "./activity-texts.ts";
import { TEXTS } from "./texts.ts";
import { clock } from "./time-texts.ts";
import { View } from "./view.tsx";

export function Activity() {
  const [older, setOlder] = useState<readonly ActivityPage[]>([]);
  const { value, problem } = useLoaded(() => call<ActivityPage>("GET", "/api/activity"), "");
  const pages = value === null ? [] : [value, ...older];
  const events = pages.flatMap((page) => page.events);
  const next = pages.at(-1)?.next ?? null;
  return (
    <View title={TEXTS.activityTitle}>
      <Failure problem={problem} />
      <div class="card skeleton" aria-busy={value === null && problem === null}>
        {value !== null && events.length === 0 && <p>{TEXTS.nothingYet}</p>}
        {events.length > 0 && (
          <ul class="plain">
            {events.map((event) => (
              <li key={event.id}>
                {actionText(event)}
                <br />
                <span class="small">
                  {[clock(event.atMs), event.gatewayName, TEXTS.by(actorText(event))].filter((each) => each !== null).join(" · ")}
                </span>
              </li>
            ))}
          </ul>
        )}
        {next !== null && (
          <div class="row">
            <Act
              label={TEXTS.older}
              run={async () => {
                const page = await call<ActivityPage>("GET", `/api/activity?${new URLSearchParams({ before: next }).toString()}`);
                setOlder((before) => [...before, page]);
              }}
            />
          </div>
        )}
      </div>
    </View>
  );
}

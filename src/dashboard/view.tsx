/** The frame of one view: its heading, then what waits for the person, then the rest. */
import type { ComponentChildren } from "preact";
import { Notices } from "./notices.tsx";
import { Title } from "./parts.tsx";
import { TEXTS } from "./texts.ts";
import { WaitingCards } from "./waiting.tsx";

export function View({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <>
      <Title>{title}</Title>
      <WaitingCards />
      <Notices />
      {children}
    </>
  );
}

export function NotFound() {
  return (
    <View title={TEXTS.notFoundTitle}>
      <div class="card">
        <p>{TEXTS.notFound}</p>
        <a class="button" href="/">
          {TEXTS.toGateways}
        </a>
      </div>
    </View>
  );
}

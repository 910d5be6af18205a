/** Devices that lost their access because another machine was connected, and the way to the page where one passkey approves them together. */
import type { Device } from "../protocol/api.ts";
import { APPROVE_AGAIN } from "./approve-again-texts.ts";
import { useShared } from "./shared.tsx";

export function ApproveAgain({ gateway, devices }: { readonly gateway: string; readonly devices: readonly Device[] }) {
  const { me } = useShared();
  const names = devices.filter(({ state }) => state === "approve-again").map(({ id, name }) => ({ id, name }));
  if (names.length === 0) return null;
  const query = new URLSearchParams({ gateway, back: `/gateways/${gateway}` });
  return (
    <section class="card notice" aria-label={APPROVE_AGAIN.heading(names.length)}>
      <h2>{APPROVE_AGAIN.heading(names.length)}</h2>
      <p>{APPROVE_AGAIN.text}</p>
      <ul>
        {names.map(({ id, name }) => (
          <li key={id}>{name}</li>
        ))}
      </ul>
      <div class="row">
        <a class="button" href={`${me.approveOrigin}/approve-again?${query.toString()}`}>
          {APPROVE_AGAIN.approve}
        </a>
      </div>
    </section>
  );
}

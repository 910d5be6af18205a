/** A copy of the gateway's machine was refused because its state is older, as after a restored backup: the owner lets it in (PROTOCOL.md LINK9). */
import { call } from "./api.ts";
import { COPY_WAITING } from "./copy-waiting-texts.ts";
import { Confirmed } from "./parts.tsx";

export function CopyWaiting({ gateway, reload }: { readonly gateway: string; readonly reload: () => void }) {
  return (
    <section class="card notice" aria-label={COPY_WAITING.heading}>
      <h2>{COPY_WAITING.heading}</h2>
      <p>{COPY_WAITING.text}</p>
      <ol>
        {COPY_WAITING.steps.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </ol>
      <div class="row">
        <Confirmed
          label={COPY_WAITING.letIn}
          title={COPY_WAITING.title}
          text={COPY_WAITING.question}
          keep={COPY_WAITING.keep}
          run={async () => {
            await call("POST", `/api/gateways/${gateway}/settle`);
            reload();
          }}
        />
      </div>
    </section>
  );
}

/** What the platform instantiates: the request handler, the daily job and the three Durable Object classes. */
import { handle } from "./app.ts";
import type { Env } from "./env.ts";
import { dropWhatIsOld } from "./services/retention.ts";

export { Enrolment } from "./enrolment/enrolment.ts";
export { Inbox } from "./inbox/inbox.ts";
export { Room } from "./room/room.ts";

export default {
  fetch: (request, env, ctx) => handle(request, env, (work) => ctx.waitUntil(work)),
  scheduled: (_event, env) => dropWhatIsOld(env, Date.now()),
} satisfies ExportedHandler<Env>;

/** Runs the demo gateway: `--port <n>`; the secret comes from `OPENCLAW_GATEWAY_TOKEN`. */
import { parseArgs } from "node:util";
import { startDemoGateway } from "./gateway.ts";

const { values } = parseArgs({ options: { port: { type: "string", default: "18789" } } });
const gateway = await startDemoGateway({ port: Number(values.port), token: process.env["OPENCLAW_GATEWAY_TOKEN"] ?? "" });
process.stdout.write(`Demo gateway (not OpenClaw) on 127.0.0.1:${gateway.port}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void gateway.stop().then(() => process.exit(0)));

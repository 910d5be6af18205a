/** The one gateway behind every peer, as a process of its own: `stub-gateway.ts <port>`. */
import { startEchoGateway } from "../support/echo.ts";

const gateway = await startEchoGateway({ port: Number(process.argv[2]), token: process.env["OPENCLAW_GATEWAY_TOKEN"] ?? "" });
process.stdout.write(`Stub gateway on ${gateway.port}\n`);

/** A TCP forwarder as a process, as docker-proxy is one: `tcp-forwarder.ts <address> <port> <to address> <to port>`; says `ready` once it listens. */
import net from "node:net";

const [address = "", port = "", toAddress = "", toPort = ""] = process.argv.slice(2);
const server = net.createServer({ allowHalfOpen: true }, (client) => {
  const target = net.connect({ host: toAddress, port: Number(toPort), allowHalfOpen: true });
  client.pipe(target).pipe(client);
  client.on("error", () => target.destroy());
  target.on("error", () => client.destroy());
});
server.listen(Number(port), address, () => process.stdout.write("ready\n"));

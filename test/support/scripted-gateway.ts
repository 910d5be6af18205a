/** A gateway that serves what a test puts into it, for tests of what a hostile one could do. */
import type http from "node:http";
import type { Page } from "playwright-core";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { claim, signGenesis } from "./journey.ts";
import { canary, isOnline, scratch, startConnector } from "./stack.ts";
import type { RunningConnector } from "./stack.ts";
import { UPLOAD_PATH } from "./upload-path.ts";

interface Heard {
  readonly method: string;
  readonly path: string;
  readonly cookie: string;
}

/** A demo gateway that also answers whatever a test puts into it, and writes down what reached it. */
export class ScriptedGateway {
  readonly heard: Heard[] = [];
  readonly pages = new Map<
    string,
    { readonly type: string; readonly body: string; readonly cookies?: readonly string[]; readonly headers?: http.OutgoingHttpHeaders }
  >();
  demo!: DemoGateway;
  connector!: RunningConnector;
  origin = "";
  path = "";
  readonly token = canary();

  /** Starts it and its connector, and claims it in this page as an account's first gateway or a further one; the page's browser is allowed in. */
  async enrol(owner: Page, appOrigin: string, { name, isFirst }: { readonly name: string; readonly isFirst: boolean }): Promise<void> {
    await this.#serve();
    this.connector = startConnector({
      args: ["up", "--yes"],
      stateDir: await scratch(),
      appOrigin,
      gatewayPort: this.demo.port,
      token: this.token,
    });
    const url = String((await this.connector.until((event) => event.event === "claim-link", "claim link"))["url"]);
    if (isFirst) this.path = await claim(owner, url, name);
    else {
      await owner.goto(url);
      await owner.getByLabel("Name of the gateway").fill(name);
      await owner.getByRole("button", { name: "Add gateway" }).click();
      await signGenesis(owner);
      await owner.getByRole("link", { name: "Go on" }).click();
      await owner.getByRole("heading", { level: 1, name }).waitFor();
      this.path = new URL(owner.url()).pathname;
    }
    await this.connector.until(isOnline, "online");
    this.origin = String((await this.connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
    await owner.goto(appOrigin + this.path);
    await owner.getByRole("link", { name: "Open", exact: true }).click();
    await owner.getByRole("button", { name: "Open", exact: true }).click();
    await owner.getByText("Connected. This device may").waitFor();
  }

  async stop(): Promise<void> {
    await this.connector?.stop();
    await this.demo?.stop();
  }

  async #serve(): Promise<void> {
    this.demo = await startDemoGateway({
      port: 0,
      token: this.token,
      onRequest: (request, response) => this.#answer(request, response),
      onSocket: (ws, request) => {
        const path = request.url ?? "";
        if (!path.startsWith("/attack/")) return false;
        this.heard.push({ method: "SOCKET", path, cookie: request.headers.cookie ?? "" });
        ws.send("hello");
        return true;
      },
    });
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): boolean {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const isAttack = path.startsWith("/attack/") || path === UPLOAD_PATH;
    if (isAttack || path.includes(".gatehouse"))
      this.heard.push({ method: request.method ?? "", path, cookie: request.headers.cookie ?? "" });
    const page = this.pages.get(path);
    if (page === undefined && !isAttack) return false;
    const { type, body, cookies, headers } = page ?? { type: "text/plain", body: "done" };
    response
      .writeHead(200, { ...headers, "content-type": type, ...(cookies === undefined ? {} : { "set-cookie": [...cookies] }) })
      .end(body);
    return true;
  }
}

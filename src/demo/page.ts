/** The demo gateway's page: says what it is, and behaves towards the gateway as OpenClaw's own page does. */

const SCRIPT = String.raw`
const status = document.getElementById("status");
const form = document.getElementById("form");
const b64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const scopes = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.questions", "operator.pairing"];
let socket = null, waitMs = 800, askedMs = null, next = 1;
const waiting = new Map();
async function identity() {
  // As OpenClaw's own page keeps it: the door may have made it.
  const kept = JSON.parse(localStorage.getItem("openclaw-device-identity-v1") ?? "null");
  if (kept !== null) {
    const secret = { kty: "OKP", crv: "Ed25519", x: kept.publicKey, d: kept.privateKey };
    return { id: kept.deviceId, publicKey: kept.publicKey, key: await crypto.subtle.importKey("jwk", secret, "Ed25519", false, ["sign"]) };
  }
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const jwk = await crypto.subtle.exportKey("jwk", pair.privateKey);
  const raw = Uint8Array.from(atob(jwk.x.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const id = [...new Uint8Array(await crypto.subtle.digest("SHA-256", raw))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const made = { version: 1, deviceId: id, publicKey: jwk.x, privateKey: jwk.d, createdAtMs: Date.now() };
  localStorage.setItem("openclaw-device-identity-v1", JSON.stringify(made));
  return { id, publicKey: jwk.x, key: pair.privateKey };
}
function request(method, params) {
  const id = String(next++);
  return new Promise((resolve) => { waiting.set(id, resolve); socket.send(JSON.stringify({ type: "req", id, method, params })); });
}
async function connect(challenge) {
  const me = await identity();
  const deviceToken = localStorage.getItem("demo-token") ?? undefined;
  const text = ["v2", me.id, "openclaw-control-ui", "webchat", "operator", scopes.join(","), challenge.ts, deviceToken ?? "", challenge.nonce].join("|");
  const signature = b64(await crypto.subtle.sign("Ed25519", me.key, new TextEncoder().encode(text)));
  const device = { id: me.id, publicKey: me.publicKey, signature, signedAt: challenge.ts, nonce: challenge.nonce };
  const client = { id: "openclaw-control-ui", version: "2026.9.6", platform: navigator.platform, mode: "webchat" };
  const answer = await request("connect", { minProtocol: 4, maxProtocol: 4, client, role: "operator", scopes, device, ...(deviceToken ? { auth: { deviceToken } } : {}) });
  if (answer.ok) {
    waitMs = 800;
    if (answer.payload.auth.deviceToken) localStorage.setItem("demo-token", answer.payload.auth.deviceToken);
    status.textContent = "Connected. This device may: " + answer.payload.auth.scopes.map((s) => s.replace("operator.", "")).join(", ") + ".";
    form.hidden = false;
  } else {
    if (answer.error.details?.code === "AUTH_DEVICE_TOKEN_MISMATCH") localStorage.removeItem("demo-token");
    if (answer.error.details?.reason === "startup-sidecars") askedMs = answer.error.retryAfterMs;
    status.textContent = "Waiting for approval … (" + (answer.error.details?.code ?? answer.error.code) + ")";
  }
}
function dial() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/");
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    if (frame.event === "connect.challenge") void connect(frame.payload);
    else if (frame.type === "res") { waiting.get(frame.id)?.(frame); waiting.delete(frame.id); }
  });
  socket.addEventListener("close", (event) => {
    form.hidden = true;
    if (event.code !== 1008) status.textContent = "Disconnected (" + event.code + (event.reason ? ", " + event.reason : "") + "). Trying again …";
    setTimeout(dial, askedMs ?? waitMs);
    if (askedMs === null) waitMs = Math.min(15000, waitMs * 1.7);
    askedMs = null;
  });
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = document.getElementById("text");
  const answer = await request("chat.send", { text: input.value });
  document.getElementById("answer").textContent = answer.ok ? answer.payload.text : answer.error.message;
  input.value = "";
});
dial();
`;

const HTML = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Demo gateway</title>
    <link rel="icon" href="data:," />
    <style>
      :root { color-scheme: light dark; }
      body { font: 17px/1.5 system-ui, sans-serif; max-width: 560px; margin: 40px auto; padding: 0 16px; }
      input, button { font: inherit; min-height: 44px; padding: 6px 12px; }
    </style>
  </head>
  <body>
    <main>
      <h1>Demo gateway</h1>
      <p>This is not OpenClaw. It is the small stand-in that Gatehouse starts when no OpenClaw runs on this machine.</p>
      <p id="status" role="status">Connecting …</p>
      <form id="form" hidden>
        <label for="text">Message</label>
        <input id="text" autocomplete="off" />
        <button>Send</button>
        <p id="answer" role="status"></p>
      </form>
    </main>
    <script type="module" src="/demo.js"></script>
  </body>
</html>
`;

export const DEMO_PAGE = { html: HTML, script: SCRIPT } as const;

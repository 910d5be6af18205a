/** What `npm start` takes, read before anything is installed, built or changed: plain JavaScript for Node 20. */
import { accessSync, constants, statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

export const HELP = `npm start -- [options]

Starts a local trial on this machine: control plane, connector and gateway. Ctrl-C ends all of it.

  --with-openclaw   fetch the pinned real OpenClaw (about 770 MB, once) and run it with an empty state
  --yes             let the connector apply the settings that an OpenClaw of yours needs
  --help            show this and do nothing

Variables:
  PORT              the control plane's port on this machine (8787)
  GATEHOUSE_STATE   where everything is kept (.gatehouse/); one npm start per folder
  OPENCLAW_URL      your OpenClaw on this machine's loopback, such as ws://127.0.0.1:18789; without it, as OpenClaw finds itself
  OPENCLAW_PROFILE, OPENCLAW_STATE_DIR, OPENCLAW_CONFIG_PATH, OPENCLAW_GATEWAY_TOKEN, OPENCLAW_GATEWAY_PASSWORD,
  OPENCLAW_GATEWAY_TOKEN_FILE, OPENCLAW_GATEWAY_PASSWORD_FILE
                    as OpenClaw and the connector read them

Exit codes: 1 something failed, or the state folder is in use; 2 an input is wrong, and nothing was changed.`;

const DEFAULT_PORT = "8787";
/** Path of a Unix socket (`sun_path`, unix(7) and unix(4)). */
const MAX_SOCKET_PATH_BYTES = process.platform === "linux" ? 107 : 103;
/** The longest name that is made below the state folder for a socket. */
const LONGEST_SOCKET = "connector/lock-0123456789ab.sock";

/** An input that cannot be used; the message says which and what to write instead. */
export class InputError extends Error {}

/** @param {string | undefined} text @returns {number} */
function port(text) {
  const value = text === undefined || text === "" ? DEFAULT_PORT : text;
  if (!/^\d{1,5}$/.test(value) || Number(value) < 1 || Number(value) > 65_535)
    throw new InputError(`PORT is no port number: "${value}". Write one from 1 to 65535: PORT=8788 npm start`);
  return Number(value);
}

/** @param {string | undefined} text @param {string} root @returns {string} */
function stateFolder(text, root) {
  const folder = path.resolve(text === undefined || text === "" ? path.join(root, ".gatehouse") : text);
  if (Buffer.byteLength(path.join(folder, LONGEST_SOCKET)) > MAX_SOCKET_PATH_BYTES)
    throw new InputError(`The path of the state folder is too long for sockets in it: ${folder}. Name a shorter one with GATEHOUSE_STATE.`);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new InputError(`GATEHOUSE_STATE is no folder: ${folder}. Name a folder, there or not yet.`);
  return folder;
}

/** The same addresses that the connector takes (`src/connector/openclaw/discover.ts`). @param {string} text */
function checkUrl(text) {
  const whole = /^[a-z]+:\/\//i.test(text) ? text : `ws://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : null;
  if (url === null || !["ws:", "wss:", "http:", "https:"].includes(url.protocol))
    throw new InputError(`OPENCLAW_URL is no address such as ws://127.0.0.1:18789: ${text}`);
  if (url.hostname !== "localhost" && url.hostname !== "[::1]" && !/^127\.\d+\.\d+\.\d+$/.test(url.hostname))
    throw new InputError(`OPENCLAW_URL must be on this machine's loopback, not ${url.hostname}. Run npm start on OpenClaw's machine.`);
}

/** @param {string} name @param {string} file */
function checkReadable(name, file) {
  try {
    accessSync(file, constants.R_OK);
  } catch {
    throw new InputError(`${name} names a file that cannot be read: ${file}`);
  }
}

/** @param {readonly string[]} args */
function options(args) {
  try {
    const known = /** @type {const} */ ({ "with-openclaw": { type: "boolean" }, yes: { type: "boolean" }, help: { type: "boolean" } });
    return parseArgs({ args: [...args], options: known }).values;
  } catch {
    const unknown = args.find((each) => !["--with-openclaw", "--yes", "--help"].includes(each));
    throw new InputError(`npm start does not know "${unknown ?? ""}". What it takes: npm start -- --help`);
  }
}

/**
 * Reads and checks all inputs, and changes nothing.
 *
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @param {string} root this checkout
 * @returns {{ port: number, state: string, withOpenclaw: boolean, yes: boolean, help: boolean }} the state folder as an absolute path
 * @throws {InputError} for the first input that cannot be used
 */
export function readInputs(args, env, root) {
  const values = options(args);
  const named = env["OPENCLAW_URL"] ?? "";
  const inputs = {
    port: port(env["PORT"]),
    state: stateFolder(env["GATEHOUSE_STATE"], root),
    withOpenclaw: values["with-openclaw"] === true,
    yes: values.yes === true,
    help: values.help === true,
  };
  if (named !== "") checkUrl(named);
  if (named !== "" && inputs.withOpenclaw)
    throw new InputError("OPENCLAW_URL names an OpenClaw of yours, and --with-openclaw runs another one. Leave one of them out.");
  if (!inputs.withOpenclaw)
    for (const name of ["OPENCLAW_GATEWAY_TOKEN_FILE", "OPENCLAW_GATEWAY_PASSWORD_FILE"]) {
      const file = env[name] ?? "";
      if (file !== "") checkReadable(name, file);
    }
  return inputs;
}

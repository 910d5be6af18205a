/** Files of a connector's state, as they are named in its folder. */
export const statePath = (name: string): string => `/state/${name}.json`;
export const keyLogPath = "/state/key-log.jsonl";

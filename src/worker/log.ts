/** The only place that writes logs, and only these fields: no addresses, tokens, codes, names or request objects. */

export interface LogEntry {
  readonly event: "request-failed";
  /** Route template, never the path. */
  readonly route: string;
  /** Class name of the error. */
  readonly kind: string;
}

export function log(entry: LogEntry): void {
  console.log(JSON.stringify({ event: entry.event, route: entry.route, kind: entry.kind }));
}

/** The suite's oracle for failures inside rooms, alarms, outbox and inboxes: a test that causes one says so, every other one fails for it. */

const expected = new Set<string>();

/** This test makes these places fail. @param places as `FailurePlace` of the Worker */
export function expectFailures(...places: readonly string[]): void {
  for (const place of places) expected.add(place);
}

/** @param lines all that was logged in a test @returns those that tell of a failure that nobody expected; forgets what was */
export function unexpectedFailures(lines: readonly string[]): string[] {
  const found = lines.filter((line) => line.startsWith('{"event":"failure"'));
  const left = found.filter((line) => !expected.has((JSON.parse(line) as { place: string }).place));
  expected.clear();
  return left;
}

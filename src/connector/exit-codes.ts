/** What scripts may rely on; `gatehouse --help` says the same. */
export const EXIT = { done: 0, failed: 1, usage: 2, needsConfirmation: 3, refused: 4, unsafe: 5, superseded: 6 } as const;

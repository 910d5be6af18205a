/** Texts about devices that must be approved again. */

export const APPROVE_AGAIN = {
  heading: (count: number) => (count === 1 ? "1 device must be approved again" : `${count} devices must be approved again`),
  text: "Another machine was connected to this gateway. One signature approves them together; they come in by themselves.",
  approve: "Approve again",
} as const;

/** @returns what the activity says of another machine */
export function connectedAnew(devices: unknown): string {
  const count = typeof devices === "number" ? devices : 0;
  return count === 0 ? "Machine connected anew" : `Machine connected anew: ${APPROVE_AGAIN.heading(count)}`;
}

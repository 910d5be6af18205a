/** Texts about a copy of the gateway's machine that was refused. */

export const COPY_WAITING = {
  heading: "An older copy of this machine was refused",
  text: "Did you restore it from a backup? If not, somebody else has its folder: connect the machine anew, below.",
  steps: [
    "Stop every other copy of it.",
    "Download the key log below, under Records, and copy it to the machine.",
    "Run there: gatehouse restore <file>",
    "Press Let this copy in, then start it: gatehouse run",
  ],
  letIn: "Let this copy in",
  title: "Has it taken over the key log?",
  question:
    "The next machine that proves this gateway's key is let in. One without its newest entries raises an alarm and admits nobody new.",
  keep: "Not yet",
} as const;

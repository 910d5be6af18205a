/** Puts one view at a time on the door page: heading, announced text, digits, actions, small print. */

export interface Action {
  readonly label: string;
  readonly primary?: boolean;
  run(): void;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(id);
  return found;
}

/** Changes only what differs: an equal text is not announced again. */
export function setText(id: string, text: string): void {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

let shown = "";
let buttons: readonly Action[] = [];

/** One view: heading, announced sentence, actions. Moves the focus to the heading when the heading changes. */
export function show(
  title: string,
  text: string,
  options: { actions?: readonly Action[]; digits?: string; small?: string; isError?: boolean } = {},
): void {
  document.title = `${title} · Gatehouse`;
  element("title").textContent = title;
  element("status").setAttribute("role", options.isError === true ? "alert" : "status");
  setText("text", text);
  const digits = element("digits");
  digits.hidden = options.digits === undefined;
  // Screen readers say four digits, not a number in the thousands.
  digits.setAttribute("aria-label", (options.digits ?? "").split("").join(" "));
  setText("digits", options.digits ?? "");
  setText("small", options.small ?? "");
  showActions(options.actions ?? []);
  if (shown !== "" && shown !== title) element("title").focus();
  shown = title;
}

/** The same buttons stay in place, so that a view that renews itself takes the focus from nobody. */
function showActions(actions: readonly Action[]): void {
  const isSame = actions.length === buttons.length && actions.every((action, i) => action.label === buttons[i]?.label);
  buttons = actions;
  if (isSame) return;
  element("actions").replaceChildren(
    ...actions.map((action, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = action.label;
      if (action.primary === true) button.className = "primary";
      button.addEventListener("click", () => buttons[i]?.run());
      return button;
    }),
  );
}

/** @returns local time of day, hours and minutes; with the day when it is not today */
export function clock(ms: number): string {
  const time = { hour: "2-digit", minute: "2-digit" } as const;
  const at = new Date(ms);
  if (at.toDateString() === new Date().toDateString()) return at.toLocaleTimeString([], time);
  return at.toLocaleString([], { day: "numeric", month: "short", ...time });
}

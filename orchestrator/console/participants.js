// Participants: what waits in their queues, who takes it, and what their breakers say.

import { get } from "./api.js";
import { line, note } from "./chart.js";
import { address, el, empty, heading, link, table } from "./dom.js";
import { look } from "./live.js";
import { badge, count } from "./words.js";

export const PARTICIPANT_COLUMNS = ["Participant", "Commands waiting", "Consumers",
  "To be tried again", "Dead letters", "Breakers"];

export default function participants(page) {
  page.title("Participants");
  page.keep(async () => {
    const { items } = await get("participants", null, page.signal);
    for (const one of items) note(`queue ${one.name}`, one.commands?.ready ?? 0);
    return page.draw(
      heading("Participants"),
      el("p", null, "A participant takes commands from a queue of its own and answers each. ",
        "What it cannot do now waits in a retry queue; what no retry will help becomes a dead letter."),
      items.length
        ? table("Participants", PARTICIPANT_COLUMNS, participantRows(items))
        : empty("No participant is known: no definition names one."),
      el("p", { class: "faint" }, "A breaker that is open means that the participant stopped taking ",
        "commands because something it depends on is away: they wait, and no attempt is spent."),
    );
  });
  look(page, 3_000, page.refresh);
}

export function participantRows(items) {
  return items.map((one) => ({
    key: one.name,
    cells: [
      one.reachable === false
        ? [one.name, " ", badge("parked", "not reachable", "warning")]
        : one.name,
      el("span", { class: "depth" }, number(one.commands?.ready), line(`queue ${one.name}`, null)),
      one.commands?.consumers === 0
        ? badge("parked", "none", "warning")
        : number(one.commands?.consumers),
      retries(one.retries ?? []),
      letters(one),
      breakers(one.breakers),
    ],
  }));
}

function number(value) {
  return el("span", { class: "number" }, value === null || value === undefined
    ? "unknown"
    : value.toLocaleString("en-GB"));
}

function retries(tiers) {
  const waiting = tiers.filter(({ ready }) => ready > 0);
  if (waiting.length === 0) return number(0);
  return el("span", { class: "number" },
    waiting.map(({ tier, ready }) => `${ready} in ${tier}`).join(", "));
}

function letters(one) {
  const open = one.dead_letters?.open ?? 0;
  const queued = one.dead_letters?.queued ?? 0;
  const path = address("/dead-letters", { participant: one.name, state: "open" });
  const shown = open > 0 ? link(path, count(open, "open", "open")) : "0";
  return el("span", { class: "number" }, shown, queued > 0 ? ` + ${queued} to be collected` : "");
}

function breakers(all) {
  if (!all) return el("span", { class: "faint" }, "unknown");
  if (all.length === 0) return el("span", { class: "faint" }, "none");
  return el("span", { class: "states" }, all.toSorted((one, other) => one.name.localeCompare(other.name)).map(({ name, state }) => {
    const kind = { closed: "completed", "half-open": "compensating", open: "parked" }[state];
    return badge(kind, `${name} ${state}`, state === "open" ? "refused" : kind);
  }));
}

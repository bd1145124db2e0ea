// Why a saga stands still and what to press: what `explain` says of it, joined with how whoever it
// waits for is.

import { el, link } from "./dom.js";
import { count, glyph, prose } from "./words.js";

// What is wrong with a participant, in words; nothing when it is well or not known.
export function ailments(one) {
  if (!one) return [];
  const found = [];
  const breakers = one.breakers ?? [];
  for (const { name, state } of breakers) {
    if (state === "open") found.push(`${one.name}’s breaker ${name} is open: it failed too often, so ${one.name} takes no commands and tries now and then whether it is back`);
    if (state === "half-open") found.push(`${one.name}’s breaker ${name} is half-open: ${one.name} is trying whether it is back`);
  }
  const stopped = breakers.some(({ state }) => state !== "closed");
  if (one.commands?.consumers === 0 && !stopped) found.push(`nobody takes ${one.name}’s commands: no ${one.name} is running, or it does not reach RabbitMQ`);
  if (one.reachable === false) found.push(`${one.name} does not answer by HTTP`);
  return found;
}

function waiting(one) {
  const ready = one.commands?.ready ?? 0;
  return ready > 0 && `${count(ready, "command")} ${ready === 1 ? "waits" : "wait"} in ${one.name}’s queue.`;
}

// What to press, given what it waits for and whether that is in trouble. Names verbs by their labels.
function counsel(saga, why, parked, ill) {
  const legal = (verb) => why.verbs.some((one) => one.verb === verb && one.legal);
  if (!parked) {
    return ["Nothing has to be pressed: the command waits, and the saga goes on by itself.",
      legal("cancel") && " If it should not wait, Cancel undoes what was done so far."];
  }
  const first = ill
    ? `First see to ${parked.participant}; then press Resume, which asks it again with fresh attempts.`
    : "Press Resume: it asks again, with fresh attempts. An answer that comes late is taken, too.";
  const hand = legal("skip") && (parked.leg === "compensation"
    ? " If it cannot be undone there, undo it by hand and press Skip a step."
    : " If it was done by hand, press Skip a step.");
  const back = legal("force-compensate") && " If you know that it has not happened and must not any more, press Force back.";
  return [first, hand, back];
}

// The box at the head of a saga's page; null while it gets on or has ended. `participants` is null
// until they are known.
export function advice(saga, why, participants) {
  if (saga.ended_at || why.waits.length === 0) return null;
  const parked = why.waits.find((wait) => wait.for === "operator");
  const rests = why.waits.some((wait) => wait.for === "rest");
  const names = [...new Set(why.waits.map((wait) => wait.participant))];
  const awaited = names.map((name) => participants?.find((one) => one.name === name)).filter(Boolean);
  const ills = awaited.flatMap(ailments);
  if (!parked && !rests && ills.length === 0) return null;
  const title = parked ? "Stuck: it waits for you" : rests ? "It failed, and is tried again" : "It waits for somebody in trouble";
  const reasons = [
    ...fresh(why).map((one) => el("li", null, prose(one))),
    ...ills.map((one) => el("li", null, `${one[0].toUpperCase()}${one.slice(1)}.`)),
    ...awaited.map(waiting).filter(Boolean).map((one) => el("li", null, one)),
    ...(why.dead_letters.length > 0 ? [el("li", null, link(`/dead-letters?saga_id=${encodeURIComponent(saga.saga_id)}`,
      `${count(why.dead_letters.length, "dead letter")} of this saga`), ": what was given up, with the error.")] : []),
  ];
  return el("section", { class: parked ? "advice stuck" : "advice", "aria-labelledby": "advice" },
    el("h2", { id: "advice" }, glyph(parked ? "parked" : "waiting"), " ", title),
    reasons.length > 0 && el("ul", { class: "reasons" }, reasons),
    el("p", { class: "counsel" }, el("strong", null, "What to do: "), counsel(saga, why, parked, ills.length > 0)));
}

// The reasons that the summary does not give already.
export function fresh(why) {
  return why.why.filter((one) => !why.summary.includes(one.replace(/^[^:]*: /, "").replace(/\.$/, "")));
}

// The verb that most likely helps; null when none needs to be pressed.
export function best(why) {
  const parked = why.waits.some((wait) => wait.for === "operator");
  return parked && why.verbs.some(({ verb, legal }) => verb === "resume" && legal) ? "resume" : null;
}

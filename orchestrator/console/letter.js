// One dead letter: what it says, why it died, its saga, and giving it back.

import { get } from "./api.js";
import { el, empty, heading, section } from "./dom.js";
import { letterState } from "./letters.js";
import { look } from "./live.js";
import { askLetter } from "./revival.js";
import { badge, deathWord, json, legWord, moment, sagaLink, status } from "./words.js";

export default function letter(page) {
  page.title("Dead letter");
  page.keep(async () => {
    const found = await get(`dead-letters/${encodeURIComponent(page.id)}`, null, page.signal);
    page.draw(...view(found, page.refresh));
  });
  look(page, 3_000, page.refresh);
}

function view(one, done) {
  const step = one.step ? ` It is the ${legWord(one.leg)} of ${one.step}, attempt ${one.attempt}.` : "";
  return [
    heading(one.type ?? "A message of unknown type", letterState(one.state)),
    el("p", { class: "id whole" }, one.message_id ?? one.dead_letter_id),
    el("p", { class: "sentence" },
      `${one.participant} could not handle this message: ${deathWord(one.reason)}.${step}`),
    one.remark && el("p", null, one.remark),
    one.error && el("pre", { class: "error", tabindex: "0" }, one.error),
    el("p", { class: "faint" }, "Died ", moment(one.dead_at), ", collected ", moment(one.collected_at),
      one.replays ? `, replayed ${one.replays === 1 ? "once" : `${one.replays} times`}.` : ", never replayed."),
    section("What can be done", verbs(one, done)),
    section("Its saga", one.saga
      ? el("p", null, status(one.saga), " ", sagaLink(one.saga.saga_id), ` ${one.saga.definition}, changed `,
        moment(one.saga.updated_at))
      : empty(one.saga_id ? "The saga that it names is not known here." : "It names no saga.")),
    section("Body", body(one)),
    section("Headers", pairs(one.headers)),
    section("Properties", pairs(one.properties)),
  ];
}

function verbs(one, done) {
  const open = one.state === "open";
  const refused = one.stale ?? (open ? null : `It is ${one.state}.`);
  const row = (verb, label, does, why) => [
    el("dt", null, el("button", {
      type: "button",
      "aria-disabled": why ? "true" : null,
      "aria-describedby": `verb-${verb}`,
      onclick: () => !why && askLetter(verb, one, done),
    }, label)),
    el("dd", { id: `verb-${verb}`, class: why ? "faint" : "" }, why ? `Not now: ${why}` : does),
  ];
  return el("dl", { class: "verbs" },
    row("replay", "Replay…", "Gives it to its participant once more. What was handled before is not done twice.", refused),
    row("discard", "Discard…", "Keeps it in the list as discarded; it is not sent again.", open ? null : `It is ${one.state}.`));
}

function body(one) {
  if (one.body !== null && one.body !== undefined) return json(one.body);
  if (one.body_base64) {
    return [badge("faint", "not text; shown as base64", "warning"), json(one.body_base64)];
  }
  return empty("It is empty.");
}

function pairs(all) {
  const names = Object.keys(all ?? {}).sort();
  if (names.length === 0) return empty("None.");
  const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  return el("dl", { class: "pairs" },
    names.map((name) => [el("dt", null, name), el("dd", null, shown(all[name]))]));
}

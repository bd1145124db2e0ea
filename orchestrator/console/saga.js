// One saga: what it is about in a sentence, its drawing, its steps, what can be done, its history.

import { advice, best, fresh } from "./advice.js";
import { get, maybe } from "./api.js";
import { el, empty, heading, link, section, svg, table } from "./dom.js";
import { follow } from "./live.js";
import { timeline } from "./timeline.js";
import { askVerb, VERBS } from "./verbs.js";
import { badge, deathWord, definitionLink, folded, glyph, lasting, legWord, moment, prose, status } from "./words.js";

const STEP_SIGNS = {
  pending: "waiting", acting: "running", done: "completed", refused: "refused",
  compensating: "compensating", compensated: "compensated",
};

export default function saga(page) {
  page.title(`Saga ${page.id.slice(-6)}`);
  const path = `sagas/${encodeURIComponent(page.id)}`;
  let told = null;
  let participants = null;
  let wish;
  let following = false;

  const draw = () => page.draw(...view(page, { ...told, participants }, wish, (stretched) => {
    wish = stretched;
    draw();
  }));
  // How they are whom it waits for; the page stands without it.
  const ask = async () => {
    participants = (await get("participants", null, page.signal)).items;
    draw();
  };
  const load = async () => {
    const [found, why] = await Promise.all([
      get(path, null, page.signal),
      maybe(get(`${path}/explain`, null, page.signal)),
    ]);
    told = { saga: found, why: why ?? plain(found) };
    draw();
    if (!found.ended_at) await ask().catch(() => {});
    // The stream of a saga ends with the saga.
    if (following || found.ended_at || page.signal.aborted) return;
    following = true;
    follow(`/api/v1/${path}/events`, page.signal, (moved) => {
      page.refresh();
      return Boolean(moved.ended_at);
    }, () => page.refresh());
  };
  page.keep(load);
  // What is going on grows with time.
  page.every(1_000, () => told && !told.saga.ended_at && draw());
  page.every(5_000, () => told && !told.saga.ended_at && ask().catch(() => {}));
}

// What can be said of a saga whose definition this build does not know.
function plain(found) {
  const legal = found.verbs ?? [];
  const verbs = Object.keys(VERBS).map((verb) => ({ verb, legal: legal.includes(verb), text: "" }));
  const waits = found.waits.map((wait) => ({ ...wait, text: `${wait.step}: ${wait.for}` }));
  const summary = found.cause?.text ?? `It is ${found.state}.`;
  return { summary, why: [], waits, next: [], verbs, dead_letters: [] };
}

function view(page, { saga, why, participants }, wish, stretch) {
  const box = advice(saga, why, participants);
  const reasons = box ? [] : fresh(why);
  const parked = why.waits.some((wait) => wait.for === "operator");
  return [
    heading(`${saga.definition}`, status(saga)),
    el("p", { class: "id whole" }, saga.saga_id),
    el("p", { class: "sentence" }, prose(why.summary)),
    reasons.length > 0 && el("ul", { class: "reasons" }, reasons.map((one) => el("li", null, prose(one)))),
    box,
    facts(saga),
    brief(saga),
    !parked && outlook(why),
    !saga.ended_at && section("What can be done", verbs(page, saga, why)),
    section("Over time", ...drawing(page, saga, wish, stretch)),
    saga.ended_at && section("What can be done", verbs(page, saga, why)),
    why.dead_letters.length > 0 && section("Dead letters", deadLetters(why.dead_letters)),
    section("Steps", steps(saga)),
    section("History", history(saga)),
    section("Data", folded("What its commands are made of", saga.data) ?? empty("It has none.")),
  ];
}

function facts(saga) {
  const took = saga.ended_at
    ? lasting(Date.parse(saga.ended_at) - Date.parse(saga.created_at))
    : null;
  return el("p", { class: "faint" }, "Definition ", definitionLink(saga.definition),
    `, version ${saga.version}. Begun `, moment(saga.created_at),
    took ? [", ended ", moment(saga.ended_at), `, after ${took}.`] : ".",
    " ", link(`/audit?saga_id=${encodeURIComponent(saga.saga_id)}`, "Audit trail"));
}

const BRIEF = 6;

// What of its data fits a line: whose it is, and how it is paid.
function brief({ saga_id: id, data }) {
  const simple = Object.entries(data ?? {}).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)
    && value !== id && String(value).length <= 60);
  if (simple.length === 0) return null;
  return el("dl", { class: "brief" }, simple.slice(0, BRIEF).map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, String(value)))));
}

// What it waits for, and what happens next.
function outlook(why) {
  if (why.waits.length === 0 && why.next.length === 0) return null;
  const item = (at, text) => el("li", null, prose(text), at && [" (", moment(at), ")"]);
  return el("div", { class: "pair" },
    why.waits.length > 0 && el("div", null, el("h3", null, "Waits for"),
      el("ul", { class: "plain" }, why.waits.map((wait) => item(wait.since, wait.text)))),
    why.next.length > 0 && el("div", null, el("h3", null, "Next"),
      el("ul", { class: "plain" }, why.next.map((one) => item(one.at, one.text)))));
}

function drawing(page, saga, wish, stretch) {
  if (saga.steps.length === 0) {
    return [empty("Another version of the orchestrator knows this definition; this one can only tell the history.")];
  }
  const { drawing: drawn, stretched } = timeline(saga, page.width, Date.now(), wish);
  const key = [
    ["action", "action"], ["compensation", "undo"], ["rest", "rest before trying again"],
    ["parked", "parked, for an operator"],
  ];
  const swatch = ([kind, word]) => el("li", null, svg("svg", { class: "swatch", width: 22, height: 12, "aria-hidden": "true" },
    svg("g", { class: `span ${kind}` }, svg("rect", { x: 0.5, y: 0.5, width: 21, height: 11, rx: 2 }))), ` ${word}`);
  const sign = ([name, word]) => el("li", { class: `end ${name}` }, glyph(name), ` ${word}`);
  const ends = [["completed", "done"], ["refused", "refused or failed"], ["silent", "no answer in time"]];
  return [
    drawn,
    el("ul", { class: "legend", "aria-label": "Legend" }, key.map(swatch), ends.map(sign), el("li", null, "◆ pivot: from here only forward")),
    el("p", { class: "faint" },
      stretched ? "Long waits are drawn short, so that everything can be seen. " : "Time is drawn to scale. ",
      el("button", { type: "button", class: "quiet", onclick: () => stretch(!stretched) },
        stretched ? "Draw to scale" : "Draw long waits short")),
  ];
}

// What is legal, with what it would send; what is not, folded, with the reason.
function verbs(page, saga, why) {
  const first = best(why);
  const row = ({ verb, legal, text }) => [
    el("dt", null, el("button", {
      type: "button",
      class: verb === first ? "primary" : null,
      "aria-disabled": legal ? null : "true",
      "aria-describedby": `verb-${verb}`,
      onclick: () => legal && askVerb(saga, verb, why.waits, page.refresh),
    }, `${VERBS[verb]?.label ?? verb}…`)),
    el("dd", { id: `verb-${verb}`, class: legal ? "" : "faint" },
      legal ? VERBS[verb]?.does : text ? `Not now: ${text}.` : "Not now.",
      legal && text && el("span", { class: "faint" }, ` Now: ${text}.`)),
  ];
  const legal = why.verbs.filter((one) => one.legal);
  const not = why.verbs.filter((one) => !one.legal);
  return [
    legal.length > 0
      ? el("dl", { class: "verbs" }, legal.map(row))
      : el("p", null, saga.ended_at ? "Nothing any more: it has ended." : "Nothing just now."),
    not.length > 0 && el("details", { class: "illegal" },
      el("summary", null, legal.length > 0 ? `${not.length} more that ${not.length === 1 ? "is" : "are"} not possible now` : "Why none of the verbs is possible"),
      el("dl", { class: "verbs" }, not.map(row))),
  ];
}

function deadLetters(letters) {
  return el("ul", { class: "plain" }, letters.map((one) => el("li", null, badge("parked", deathWord(one.reason), "warning"), " ",
    link(`/dead-letters/${encodeURIComponent(one.id)}`, one.text))));
}

function steps(saga) {
  if (saga.steps.length === 0) return empty("Not known to this version of the orchestrator.");
  const waits = new Map(saga.waits.map((wait) => [wait.step, wait]));
  const columns = ["Step", "Stands", "Kind", "Participant", "Attempts", "What was said"];
  return table("Steps", columns, saga.steps.map((step) => {
    const parked = waits.get(step.name)?.for === "operator";
    const undo = step.compensation;
    const tried = undo?.attempts > 0 ? `${step.attempts}, undo ${undo.attempts}` : `${step.attempts}`;
    return {
      key: step.name,
      cells: [
        step.name,
        parked
          ? badge("parked", `parked: ${legWord(waits.get(step.name).leg)}`)
          : badge(step.status, step.status, STEP_SIGNS[step.status]),
        step.kind === "pivot" ? badge("pivot", "pivot") : step.kind,
        step.participant,
        el("span", { class: "number" }, tried),
        said(step),
      ],
    };
  }));
}

// Payloads and reply, as far as there are any.
function said(step) {
  const undo = step.compensation;
  const parts = [folded(step.command, step.payload), folded("reply", step.reply),
    undo && folded(undo.command, undo.payload)].filter(Boolean);
  return parts.length > 0 ? el("div", { class: "folds" }, parts) : null;
}

const EVENTS = {
  started: "started",
  "cancel-requested": "cancel requested",
  "resume-requested": "resume requested",
  "deadline-passed": "the saga’s deadline passed",
};

function happened(entry) {
  const undo = entry.leg === "compensation" ? "undo " : "";
  if (entry.event === "replied") return `${undo}${entry.step} ${entry.outcome}`;
  if (entry.event === "timed-out") return `${undo}${entry.step} got no answer (attempt ${entry.attempt})`;
  if (entry.event === "rested") return `${undo}${entry.step} is asked again`;
  const word = EVENTS[entry.event] ?? entry.event.replaceAll("-", " ");
  const step = entry.step ? ` (${undo}${entry.step})` : "";
  return entry.body?.reason ? `${word}${step}: ${entry.body.reason}` : `${word}${step}`;
}

function ledTo(then) {
  if (then.sent) return ["onward", `${then.sent}${then.attempt > 1 ? `, attempt ${then.attempt}` : ""}`];
  if (then.rests) return ["waiting", `${then.rests} rests before it is asked again`];
  if (then.parked) return ["parked", `${then.parked} is parked`];
  return [then.ended, then.ended];
}

function history(saga) {
  const began = Date.parse(saga.created_at);
  return el("ol", { class: "history" }, saga.history.map((entry) => el("li", { "data-key": entry.seq },
    el("time", { class: "number", title: entry.at }, `+${lasting(Date.parse(entry.at) - began)}`),
    el("div", null,
      el("p", { class: entry.leg === "compensation" ? "undo" : "" }, happened(entry)),
      entry.then.map((then) => {
        const [sign, text] = ledTo(then);
        return el("p", { class: "faint led" }, glyph(sign), ` ${text}`);
      }),
      folded("what it said", entry.body)))));
}

// The overview: one sentence on how things are, the figures behind it, and what changes.

import { ailments } from "./advice.js";
import { get } from "./api.js";
import { line, note, shares, since } from "./chart.js";
import { address, el, empty, heading, link, section, table } from "./dom.js";
import { calmly, follow } from "./live.js";
import { participantRows, PARTICIPANT_COLUMNS } from "./participants.js";
import { age, count, definitionLink, glyph, moment, sagaLink, status } from "./words.js";

const SHOWN = 12;

export default function overview(page) {
  page.title("Overview");
  const recent = new Map();
  const load = async () => {
    const [counts, participants, listed] = await Promise.all([
      get("sagas/counts", null, page.signal),
      get("participants", null, page.signal),
      recent.size ? null : get("sagas", { limit: SHOWN }, page.signal),
    ]);
    for (const saga of listed?.items.toReversed() ?? []) recent.set(saga.saga_id, saga);
    page.draw(...view(counts, participants.items, [...recent.values()].toReversed()));
  };
  page.keep(load);
  const soon = calmly(() => page.refresh(), 1_000);
  follow("/api/v1/events", page.signal, (saga) => {
    recent.delete(saga.saga_id);
    recent.set(saga.saga_id, saga);
    if (recent.size > SHOWN) recent.delete(recent.keys().next().value);
    soon();
  }, soon);
  page.every(5_000, soon);
}

function view(counts, participants, recent) {
  const letters = participants.reduce((sum, one) => sum + (one.dead_letters?.open ?? 0), 0);
  const rates = counts.rates;
  note("in-flight", counts.in_flight);
  note("parked", counts.parked);
  note("started", rates.started_per_minute);
  note("ended", rates.ended_per_minute);
  for (const one of participants) note(`queue ${one.name}`, one.commands?.ready ?? 0);
  return [
    heading("Overview"),
    sentence(counts, participants, letters),
    el(
      "dl",
      { class: "figures" },
      figure("In flight", counts.in_flight, "in-flight", "/sagas?open=true"),
      figure("Parked", counts.parked, "parked", "/sagas?parked=true", counts.parked > 0),
      figure("Started a minute", rate(rates.started_per_minute), "started"),
      figure("Ended a minute", rate(rates.ended_per_minute), "ended"),
      oldest(counts.oldest_open),
    ),
    el("p", { class: "faint" }, "The lines begin when this window first looked, ",
      moment(new Date(since("in-flight")).toISOString()), "."),
    section("Open sagas", definitions(counts), ended(counts.ended_last_24h)),
    section("Participants", participants.length
      ? table("Participants and their queues", PARTICIPANT_COLUMNS, participantRows(participants))
      : empty("No participant is known: no definition names one.")),
    section("Latest changes", recent.length
      ? table("Sagas that changed last", ["State", "Saga", "Definition", "Waits for", "Changed"],
        recent.map((saga) => ({
          key: saga.saga_id,
          cells: [status(saga), sagaLink(saga.saga_id), saga.definition,
            saga.parked ?? saga.step ?? "–", moment(saga.updated_at)],
        })))
      : empty("No saga has been started yet. Each appears here as soon as it is.")),
  ];
}

function rate(number) {
  return number >= 10 ? Math.round(number) : Math.round(number * 10) / 10;
}

// What somebody wants to know who looks for one second.
function sentence(counts, participants, letters) {
  const troubles = [];
  if (counts.parked > 0) {
    const parked = `${count(counts.parked, "saga")} parked, waiting for an operator`;
    troubles.push(link("/sagas?parked=true", parked));
  }
  if (letters > 0) troubles.push(link("/dead-letters", count(letters, "dead letter")));
  for (const one of participants) {
    for (const ill of ailments(one)) troubles.push(link("/participants", ill.split(":")[0]));
  }
  const flight = counts.in_flight === 0
    ? "No saga is in flight"
    : `${count(counts.in_flight, "saga")} in flight`;
  if (troubles.length === 0) {
    return el("p", { class: "sentence" }, glyph("completed"),
      ` ${flight}; nothing is parked, nothing lies dead. All is well.`);
  }
  const listed = troubles.flatMap((trouble, index) => [index ? ", " : " ", trouble]);
  return el("p", { class: "sentence troubled" }, glyph("warning"), ` ${flight}. To look at:`, listed, ".");
}

function figure(name, number, course, path, striking = false) {
  const shown = number.toLocaleString("en-GB");
  return el("div", { class: striking ? "figure striking" : "figure" },
    el("dt", null, name),
    el("dd", null, path ? link(path, shown) : shown, line(course, `${name}: now ${shown}`)));
}

function oldest(open) {
  return el("div", { class: "figure" }, el("dt", null, "Oldest in flight"),
    el("dd", null, open ? [age(open.created_at), el("small", null, sagaLink(open.saga_id))] : "–"));
}

const KINDS = ["parked", "running", "compensating"];

// One row a definition: how many of its open sagas are where.
function definitions(counts) {
  const rows = new Map();
  for (const one of counts.by) {
    const row = rows.get(one.definition) ?? {};
    const kind = one.parked ? "parked" : one.state;
    row[kind] = (row[kind] ?? 0) + one.count;
    rows.set(one.definition, row);
  }
  if (rows.size === 0) return empty("No saga is open: every one that was begun has ended.");
  const sum = (row) => KINDS.reduce((total, kind) => total + (row[kind] ?? 0), 0);
  const most = Math.max(...[...rows.values()].map(sum));
  const wanted = (name, kind) => address("/sagas", kind === "parked"
    ? { definition: name, parked: true }
    : { definition: name, state: kind, parked: false });
  const columns = ["Definition", "Parked", "Running", "Compensating", "Shares"];
  return table("Open sagas by definition and state", columns, [...rows].map(([name, row]) => ({
    key: name,
    cells: [
      definitionLink(name),
      ...KINDS.map((kind) => el("span", { class: "number" }, row[kind]
        ? link(wanted(name, kind), row[kind].toLocaleString("en-GB"))
        : "0")),
      shares(KINDS.map((kind) => [kind, row[kind] ?? 0]), most,
        KINDS.map((kind) => `${row[kind] ?? 0} ${kind}`).join(", ")),
    ],
  })));
}

function ended({ completed, compensated, at_least: more }) {
  return el("p", null, "Ended in the last 24 hours: ", more && "at least ",
    link("/sagas?state=completed", `${completed.toLocaleString("en-GB")} completed`), ", ",
    link("/sagas?state=compensated", `${compensated.toLocaleString("en-GB")} compensated`), ".");
}

// The audit trail: which operator did what, to what, and why.

import { get } from "./api.js";
import { address, el, empty, heading, link, table } from "./dom.js";
import { badge, json, moment, sagaLink } from "./words.js";

const NAMES = ["verb", "by", "saga_id"];
const VERBS = ["cancel", "resume", "retry", "skip", "force-compensate", "replay", "discard"];

export default function audit(page) {
  page.title("Audit");
  const wanted = Object.fromEntries(NAMES.map((name) => [name, page.query.get(name) ?? ""]));
  let items = [];
  let next = null;
  const draw = () => page.draw(
    heading("Audit trail"),
    el("p", null, "Everything that was asked for by hand, newest first, also what was refused. Rows are only ever added."),
    filters(wanted),
    items.length ? rows(items) : nothing(wanted),
    next && el("p", null, el("button", { type: "button", onclick: () => more().catch(() => {}) }, "Show more")),
  );
  const more = async () => {
    const answer = await get("audit", { ...wanted, cursor: next }, page.signal);
    items = items.concat(answer.items);
    next = answer.next;
    draw();
  };
  page.keep(async () => {
    ({ items, next } = await get("audit", wanted, page.signal));
    draw();
  });
}

function filters(wanted) {
  const go = (change) => {
    location.hash = address("/audit", { ...wanted, ...change });
  };
  const verbs = [["", "any"], ...VERBS.map((one) => [one, one])];
  const written = (name, label) => el("label", null, el("span", null, label),
    el("input", { type: "search", name, value: wanted[name] }));
  return el(
    "form",
    {
      class: "filters",
      "aria-label": "Which entries",
      onsubmit: (event) => {
        event.preventDefault();
        const { by, saga_id: saga } = event.target.elements;
        go({ by: by.value.trim(), saga_id: saga.value.trim() });
      },
    },
    el("label", null, el("span", null, "Verb"), el("select", { onchange: (event) => go({ verb: event.target.value }) },
      verbs.map(([value, shown]) => el("option", { value, selected: wanted.verb === value }, shown)))),
    written("by", "Who"),
    written("saga_id", "Saga"),
    el("button", { type: "submit" }, "Find"),
    el("a", { href: "#/audit", class: "quiet" }, "Clear"),
  );
}

function rows(items) {
  return table("Audit trail", ["When", "Who", "Verb", "To", "Why", "Outcome"], items.map((one) => ({
    key: one.audit_id,
    cells: [
      moment(one.at),
      one.by ?? el("span", { class: "faint" }, "not said"),
      one.verb,
      target(one),
      one.reason,
      one.accepted
        ? [badge("completed", "accepted"), one.text ? ` ${one.text}` : ""]
        : [badge("parked", "refused", "refused"), ` ${one.text ?? ""}`],
    ],
  })));
}

function target(one) {
  if (one.saga_id) return sagaLink(one.saga_id);
  if (one.dead_letter) return link(`/dead-letters/${encodeURIComponent(one.dead_letter)}`, "a dead letter");
  if (one.filter) return el("details", null, el("summary", null, "many"), json(one.filter));
  return "–";
}

function nothing(wanted) {
  return Object.values(wanted).every((value) => value === "")
    ? empty("Nobody has asked for anything by hand yet.")
    : empty("No entry is like that. ", el("a", { href: "#/audit" }, "Show all"));
}

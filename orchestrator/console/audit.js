// The audit trail: which operator did what, to what, and why.

import { get } from "./api.js";
import { el, empty, heading, link, table } from "./dom.js";
import { choose, filters, wantedOf, written } from "./filters.js";
import { look } from "./live.js";
import { badge, json, moment, sagaLink } from "./words.js";

const NAMES = ["verb", "by", "saga_id"];
const VERBS = ["cancel", "resume", "retry", "skip", "force-compensate", "replay", "discard"];

export default function audit(page) {
  page.title("Audit");
  const wanted = wantedOf(page, NAMES);
  let items = [];
  let next = null;
  let unread = null;
  const draw = () => page.draw(
    heading("Audit trail"),
    el("p", null, "Everything that was asked for by hand, newest first, also what was refused. Rows are only ever added."),
    which(wanted),
    items.length ? rows(items) : unread ? empty(`${unread}. `) : nothing(wanted),
    next && el("p", null, el("button", { type: "button", onclick: () => more().catch(() => {}) }, "Show more")),
  );
  const more = async () => {
    const answer = await get("audit", { ...wanted, cursor: next }, page.signal);
    items = items.concat(answer.items);
    next = answer.next;
    draw();
  };
  page.keep(async () => {
    try {
      ({ items, next } = await get("audit", wanted, page.signal));
      unread = null;
    } catch (error) {
      // Such as half an id: the form stays, to be mended.
      if (error.status !== 422) throw error;
      [items, next, unread] = [[], null, error.message];
    }
    draw();
  });
  look(page, 5_000, () => items.length <= 50 && page.refresh());
}

function which(wanted) {
  return filters("Which entries", "/audit", wanted, [
    choose("verb", "Verb", [["", "any"], ...VERBS.map((one) => [one, one])]),
    written("by", "Who"),
    written("saga_id", "Saga"),
  ]);
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

// Dead letters: by what went wrong, and one by one.

import { get } from "./api.js";
import { address, el, empty, heading, link, section, table } from "./dom.js";
import { choose, filters, wantedOf, written } from "./filters.js";
import { look } from "./live.js";
import { askLetters } from "./revival.js";
import { badge, count, deathWord, moment, sagaLink } from "./words.js";

const NAMES = ["participant", "type", "state", "fingerprint", "saga_id", "text"];
const STATES = ["open", "replaying", "replayed", "discarded", "refused"];
const SIGNS = {
  open: ["parked", "warning"], replaying: ["running", "running"], replayed: ["completed", "completed"],
  discarded: ["faint", "refused"], refused: ["parked", "refused"],
};

export function letterState(state) {
  const [kind, sign] = SIGNS[state] ?? ["faint", "waiting"];
  return badge(kind, state, sign);
}

export default function letters(page) {
  page.title("Dead letters");
  const wanted = wantedOf(page, NAMES);
  let groups = [];
  let items = [];
  let next = null;
  const draw = () => page.draw(...view(page, wanted, groups, items, next, more));
  const more = async () => {
    const answer = await get("dead-letters", { ...wanted, cursor: next }, page.signal);
    items = items.concat(answer.items);
    next = answer.next;
    draw();
  };
  page.keep(async () => {
    const [grouped, listed] = await Promise.all([
      get("dead-letters/groups", null, page.signal),
      get("dead-letters", wanted, page.signal),
    ]);
    groups = grouped.items;
    ({ items, next } = listed);
    draw();
  });
  look(page, 5_000, () => items.length <= 50 && page.refresh());
}

function view(page, wanted, groups, items, next, more) {
  const filtered = Object.values(wanted).some((value) => value !== "");
  return [
    heading("Dead letters"),
    el("p", null, "Messages that no retry will help: nobody understood them, or every attempt failed. ",
      "They are kept with the reason. Replaying one gives it to its participant once more."),
    section("By what went wrong", groups.length
      ? groupTable(groups, page.refresh)
      : empty("There are none: every message was understood and handled.")),
    section("One by one", which(wanted, groups),
      items.length
        ? letterTable(items)
        : empty(filtered ? "No dead letter is like that. " : "Nothing lies here.",
          filtered && el("a", { href: "#/dead-letters" }, "Show all")),
      next && el("p", null, el("button", { type: "button", onclick: () => more().catch(() => {}) }, "Show more"))),
  ];
}

function groupTable(groups, done) {
  const columns = ["Message", "Reason", "Error", "Open", "All", "First", "Last", "For those open"];
  return table("Dead letters by what went wrong", columns, groups.map((group) => {
    const filter = { fingerprint: group.fingerprint, state: "open" };
    const act = (verb, label) => el("button", {
      type: "button",
      disabled: group.open === 0,
      onclick: () => askLetters(verb, filter, group, done),
    }, label);
    return {
      key: group.fingerprint,
      cells: [
        [el("code", null, group.type ?? "unknown"), el("span", { class: "faint" }, ` to ${group.participant}`)],
        deathWord(group.reason),
        el("span", { class: "cut wide", title: group.error }, group.error),
        el("span", { class: "number" }, group.open > 0
          ? link(address("/dead-letters", filter), String(group.open))
          : "0"),
        el("span", { class: "number" },
          link(address("/dead-letters", { fingerprint: group.fingerprint }), String(group.total))),
        moment(group.first_at),
        moment(group.last_at),
        el("span", { class: "acts" }, act("replay", "Replay…"), " ", act("discard", "Discard…")),
      ],
    };
  }));
}

function which(wanted, groups) {
  const known = (key) => [["", "any"], ...[...new Set(groups.map((group) => group[key]).filter(Boolean))].map((one) => [one, one])];
  return filters("Which dead letters", "/dead-letters", wanted, [
    choose("state", "State", [["", "any"], ...STATES.map((one) => [one, one])]),
    choose("participant", "Participant", known("participant")),
    choose("type", "Message", known("type")),
    written("text", "Text", "error, id, type"),
  ], wanted.fingerprint && el("span", { class: "faint" }, "One group only."),
  wanted.saga_id && el("span", { class: "faint" }, "Of one saga only."));
}

function letterTable(items) {
  const columns = ["State", "Message", "To", "Reason", "Error", "Saga", "Died"];
  return table(count(items.length, "dead letter"), columns, items.map((one) => ({
    key: one.dead_letter_id,
    cells: [
      letterState(one.state),
      link(`/dead-letters/${encodeURIComponent(one.dead_letter_id)}`, one.type ?? "unknown type"),
      one.participant,
      deathWord(one.reason),
      el("span", { class: "cut wide", title: one.error }, one.error ?? "–"),
      one.saga_id ? sagaLink(one.saga_id) : "–",
      moment(one.dead_at),
    ],
  })));
}

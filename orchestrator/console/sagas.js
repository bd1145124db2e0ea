// The list of sagas: filters in the address, pages by cursor, and verbs for many at once.

import { get } from "./api.js";
import { el, empty, heading, table } from "./dom.js";
import { choose, filters, wantedOf, written } from "./filters.js";
import { follow } from "./live.js";
import { askBulk, VERBS } from "./verbs.js";
import { count, definitionLink, moment, sagaLink, status } from "./words.js";

const NAMES = ["text", "state", "definition", "step", "parked", "cause", "open", "older_than_seconds"];
const AGES = [["60", "a minute"], ["600", "ten minutes"], ["3600", "an hour"], ["86400", "a day"]];
const CAUSES = ["refused", "faulted", "unanswered", "cancelled", "deadline-passed", "forced"];
const BULK = ["cancel", "resume", "retry"];

export default function sagas(page) {
  page.title("Sagas");
  const wanted = wantedOf(page, NAMES);
  const ticked = new Set();
  let items = [];
  let next = null;
  let plans = null;
  const news = new Set();

  const more = async () => {
    const query = { ...wanted, limit: 50, cursor: next };
    const answer = await get("sagas", query, page.signal);
    items = items.concat(answer.items);
    next = answer.next;
    draw();
  };
  const first = async () => {
    plans ??= (await get("definitions", null, page.signal)).items;
    const answer = await get("sagas", { ...wanted, limit: 50 }, page.signal);
    ({ items, next } = answer);
    news.clear();
    draw();
  };
  const tick = (id, on) => {
    if (on) ticked.add(id);
    else ticked.delete(id);
    draw();
  };
  const draw = () => page.draw(
    heading("Sagas"),
    which(wanted, plans),
    bulk(ticked, wanted, items.length > 0, page.refresh),
    el("p", { class: "faint", role: "status" },
      `${count(items.length, "saga")}${next ? " so far" : ""}, newest first.`,
      news.size > 0 && [" ", el("button", { type: "button", class: "quiet news", onclick: page.refresh },
        `${count(news.size, "new saga")}: show`)]),
    items.length ? rows(items, ticked, tick) : next ? empty("Nothing found so far.") : nothing(wanted),
    next && el("p", null, el("button", { type: "button", onclick: () => more().catch(() => {}) }, "Show more")),
  );
  page.keep(first);
  // Rows on the page change where they stand; new ones wait until they are asked for.
  follow("/api/v1/events", page.signal, (saga) => {
    if (!plans) return; // before the first reading, which will tell of it
    const index = items.findIndex(({ saga_id: id }) => id === saga.saga_id);
    if (index >= 0) items[index] = { ...items[index], ...saga };
    else if (fits(saga, wanted) && Date.parse(saga.created_at) > Date.parse(items[0]?.created_at ?? 0)) news.add(saga.saga_id);
    else return;
    draw();
  }, () => items.length <= 50 && page.refresh());
}

// Whether a new saga is one of those that are wanted, as far as can be told from here.
function fits(saga, { text, state, definition, step, parked, cause, open, older_than_seconds: age }) {
  const is = (wish, value) => wish === "" || wish === String(value);
  return text === "" && cause === "" && age === "" && is(state, saga.state) && is(definition, saga.definition)
    && is(step, saga.step) && is(parked, saga.parked !== null) && is(open, saga.ended_at === null);
}

function which(wanted, plans) {
  const steps = [...new Set(plans.flatMap((plan) => plan.steps.map(({ name }) => name)))];
  const named = (names) => names.map((one) => [one, one]);
  return filters("Which sagas", "/sagas", wanted, [
    choose("state", "State", [["", "any"], ...named(["running", "compensating", "completed", "compensated"])]),
    choose("open", "Ended", [["", "any"], ["true", "not yet"], ["false", "yes"]]),
    choose("parked", "Parked", [["", "any"], ["true", "yes"], ["false", "no"]]),
    choose("definition", "Definition", [["", "any"], ...named(plans.map(({ name }) => name))]),
    choose("step", "Waits for", [["", "any step"], ...named(steps)]),
    choose("cause", "Goes or went back", [["", "any"], ...named(CAUSES)]),
    choose("older_than_seconds", "Older than", [["", "any age"], ...AGES]),
    written("text", "Text", "id, customer, …"),
  ]);
}

function bulk(ticked, wanted, some, done) {
  const filter = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== "")
    .map(([name, value]) => [name, typed(name, value)]));
  const filtered = Object.keys(filter).length > 0;
  const finished = () => {
    ticked.clear();
    done();
  };
  const buttons = (target, off) => BULK.map((verb) => el("button",
    { type: "button", disabled: off, onclick: () => askBulk(verb, target(), finished) },
    `${VERBS[verb].label}…`));
  return el("div", { class: "bulk" },
    el("div", { class: "ticked" },
      el("span", null, ticked.size ? `${ticked.size} ticked:` : "Tick some to act on them:"),
      buttons(() => ({ ids: [...ticked] }), ticked.size === 0)),
    filtered && some && el("div", { class: "found" },
      el("span", null, "All that this filter finds:"), buttons(() => ({ filter }), false)));
}

function typed(name, value) {
  if (name === "parked" || name === "open") return value === "true";
  return name === "older_than_seconds" ? Number(value) : value;
}

function rows(items, ticked, tick) {
  const on = items.filter(({ saga_id: id }) => ticked.has(id)).length;
  const all = el("input", {
    type: "checkbox",
    "aria-label": "Tick all on this page",
    checked: on === items.length,
    indeterminate: on > 0 && on < items.length,
    onchange: (event) => items.forEach(({ saga_id: id }) => tick(id, event.target.checked)),
  });
  const columns = [all, "State", "Saga", "Definition", "Waits for", "Why it goes back", "Begun", "Changed"];
  return table("Sagas", columns, items.map((saga) => ({
    key: saga.saga_id,
    attributes: { class: saga.parked ? "striking" : "" },
    cells: [
      el("input", {
        type: "checkbox",
        "aria-label": `Tick ${saga.saga_id}`,
        checked: ticked.has(saga.saga_id),
        onchange: (event) => tick(saga.saga_id, event.target.checked),
      }),
      status(saga),
      sagaLink(saga.saga_id),
      definitionLink(saga.definition),
      saga.parked ?? saga.step ?? "–",
      saga.cause ? el("span", { class: "cut", title: saga.cause.text }, saga.cause.text) : "–",
      moment(saga.created_at),
      moment(saga.updated_at),
    ],
  })));
}

function nothing(wanted) {
  if (Object.values(wanted).every((value) => value === "")) {
    return empty("No saga has been started yet. A service starts one by a message, or by POST /api/v1/sagas.");
  }
  if (wanted.parked === "true") {
    return empty("Nothing is parked: every saga that is open goes on by itself.");
  }
  return empty("No saga is like that. ", el("a", { href: "#/sagas" }, "Show all"));
}

// Words and signs for what the API says: states, times, durations, ids, payloads.

import { el, link, svg } from "./dom.js";

// Drawn here, because fonts disagree about such characters. Each fits 16 × 16.
const GLYPHS = {
  running: { d: "M8 3.200a4.800 4.800 0 1 0 0 9.600a4.800 4.800 0 1 0 0-9.600z", fill: true },
  compensating: { d: "M8 3.200a4.800 4.800 0 1 0 0 9.600z", fill: true, ring: true },
  completed: { d: "M3 8.500l3.500 3.500L13 4.500" },
  compensated: { d: "M6 3L3 6l3 3M3.500 6H10a3.500 3.500 0 0 1 0 7H6" },
  parked: { d: "M5.500 3v10M10.500 3v10", wide: true },
  refused: { d: "M4 4l8 8M12 4l-8 8" },
  silent: { d: "M8 3.200a4.800 4.800 0 1 0 0 9.600a4.800 4.800 0 1 0 0-9.600zM8 5.500V8l2 1.500" },
  pivot: { d: "M8 2l6 6-6 6-6-6z" },
  waiting: { d: "M3.500 8h.1M8 8h.1M12.500 8h.1", dots: true },
  onward: { d: "M3 8h9M8.500 4L12.500 8l-4 4" },
  warning: { d: "M8 2.500L14.500 13.500h-13zM8 6.500v3.200M8 11.600v.1" },
};

export function glyph(name, attributes = {}) {
  const { d, fill, ring, wide, dots } = GLYPHS[name] ?? GLYPHS.waiting;
  const shape = svg("path", { d, class: fill ? "filled" : `stroked${wide ? " wide" : ""}${dots ? " dots" : ""}` });
  const round = ring && svg("circle", { cx: 8, cy: 8, r: 4.8, class: "stroked" });
  const size = { width: 16, height: 16, viewBox: "0 0 16 16" };
  return svg("svg", { class: "glyph", "aria-hidden": "true", ...size, ...attributes }, round, shape);
}

// A saga's state, as a sign and a word; parked outranks the rest.
export function status(saga) {
  const state = el("span", { class: `state ${saga.state}` }, glyph(saga.state), saga.state);
  if (!saga.parked) return state;
  return el("span", { class: "states" }, badge("parked", "parked"), state);
}

export function badge(kind, text, sign = kind) {
  return el("span", { class: `state ${kind}` }, glyph(sign), text);
}

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]];

// Milliseconds in one or two units: `29 ms`, `1.4 s`, `4 min 3 s`.
export function lasting(ms) {
  const length = Math.max(0, ms);
  if (length < 1_000) return `${Math.round(length)} ms`;
  if (length < 10_000) return `${(length / 1_000).toFixed(1)} s`;
  const index = UNITS.findIndex(([, unit]) => length >= unit);
  const [name, unit] = UNITS[index];
  const smaller = UNITS[index + 1];
  const rest = smaller ? Math.floor((length % unit) / smaller[1]) : 0;
  return `${Math.floor(length / unit)} ${name}${rest > 0 ? ` ${rest} ${smaller[0]}` : ""}`;
}

function relative(at, now = Date.now()) {
  const away = now - at;
  if (Math.abs(away) < 2_000) return "just now";
  const rounded = Math.round(Math.abs(away) / 1_000) * 1_000;
  const text = lasting(rounded < 10_000 ? rounded : rounded).replace(/\.0 s$/, " s");
  const coarse = rounded >= 60_000 ? text.split(" ").slice(0, 2).join(" ") : text;
  return away >= 0 ? `${coarse} ago` : `in ${coarse}`;
}

// A moment as people say it, with the exact one in the title.
export function moment(iso) {
  if (!iso) return el("span", { class: "faint" }, "–");
  return el("time", { datetime: iso, title: new Date(iso).toISOString() }, relative(Date.parse(iso)));
}

// How long ago a moment was, roughly.
export function age(iso) {
  const at = Date.parse(iso);
  return el("time", { datetime: iso, title: new Date(iso).toISOString(), "data-age": "" }, roughly(Date.now() - at));
}

function roughly(ms) {
  if (ms >= 600_000 && ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return lasting(Math.max(1_000, Math.floor(ms / 1_000) * 1_000)).replace(/\.0 s$/, " s");
}

const MOMENT = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

// A sentence of the API's, its moments as people say them.
export function prose(text) {
  return text.split(MOMENT).map((part) => (MOMENT.test(part) ? moment(part) : part))
    .map((part, index, all) => (typeof part === "string" && index < all.length - 1 ? part.replace(/ (by|at) $/, ", ") : part));
}

// Keeps every moment on the page true.
export function tellTime() {
  for (const one of document.querySelectorAll("time[datetime]")) {
    const at = Date.parse(one.dateTime);
    const text = one.hasAttribute("data-age") ? roughly(Date.now() - at) : relative(at);
    if (one.textContent !== text) one.textContent = text;
  }
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en-GB")} ${number === 1 ? one : many}`;
}

// Ids begin with their time, so that neighbours differ at the end.
export function sagaLink(id) {
  const short = `${id.slice(0, 8)}…${id.slice(-6)}`;
  return el("a", { class: "id", href: `#/sagas/${encodeURIComponent(id)}`, title: id }, short);
}

export function definitionLink(name) {
  return link(`/definitions/${encodeURIComponent(name)}`, name);
}

export function json(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return el("pre", { tabindex: "0" }, text);
}

// A payload, folded; nothing when there is none.
export function folded(title, value) {
  if (value === null || value === undefined) return null;
  return el("details", null, el("summary", null, title), json(value));
}

const REASONS = {
  "attempts-spent": "every attempt failed",
  fault: "it failed in a way that no retry helps",
  "poison-not-json": "it is not JSON",
  "poison-unknown-type": "nobody there knows its type",
  "poison-bad-header": "a header is missing or wrong",
  "poison-schema-version": "its schema version is not known there",
  "poison-too-big": "it is too big",
};

// Why a letter died, in words.
export function deathWord(reason) {
  return REASONS[reason] ?? reason;
}

export function legWord(leg) {
  return leg === "compensation" ? "undo" : "action";
}

// The console: which page the address names, the search field, keys, and the banner when the
// orchestrator is away.

import { Away, Problem } from "./api.js";
import { el, empty, heading, morph } from "./dom.js";
import { calmly } from "./live.js";
import { tellTime } from "./words.js";
import audit from "./audit.js";
import definitions from "./definitions.js";
import letter from "./letter.js";
import letters from "./letters.js";
import overview from "./overview.js";
import participants from "./participants.js";
import saga from "./saga.js";
import sagas from "./sagas.js";

const PAGES = [
  [/^\/$/, overview],
  [/^\/sagas$/, sagas],
  [/^\/sagas\/([^/]+)$/, saga],
  [/^\/dead-letters$/, letters],
  [/^\/dead-letters\/([^/]+)$/, letter],
  [/^\/participants$/, participants],
  [/^\/definitions(?:\/([^/]+))?$/, definitions],
  [/^\/audit$/, audit],
];
const SAGA_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const search = document.getElementById("search-text");
let page = null;
let visited = false;

// One visit of one page. A page module calls `keep` with what reads and draws it.
class Page {
  #leaving = new AbortController();
  #drawn = false;

  // `drawn`: the page that is left was of the same kind, so that its drawing can be changed in place
  // and the focus stays where it is.
  constructor(path, query, id, drawn) {
    Object.assign(this, { path, query, id, refresh: async () => {} });
    this.#drawn = drawn;
  }

  get isDrawn() {
    return this.#drawn;
  }

  get signal() {
    return this.#leaving.signal;
  }

  get width() {
    const { paddingLeft, paddingRight } = getComputedStyle(main);
    return main.clientWidth - Number.parseFloat(paddingLeft) - Number.parseFloat(paddingRight);
  }

  leave() {
    this.#leaving.abort();
  }

  title(text) {
    document.title = text === "Sagas" ? text : `${text} · Sagas`;
  }

  // The first time as a whole, afterwards in place.
  draw(...nodes) {
    if (this.signal.aborted) return;
    const fresh = el("div", { class: "page" }, nodes);
    if (this.#drawn) return void morph(main.firstElementChild, fresh);
    main.replaceChildren(fresh);
    this.#drawn = true;
    if (visited) main.querySelector("h1")?.focus({ preventScroll: true });
    visited = true;
  }

  // Runs `load` now and whenever `refresh` is called.
  keep(load) {
    this.refresh = calmly(async () => {
      if (this.signal.aborted) return;
      try {
        await load();
      } catch (error) {
        if (!this.signal.aborted) this.#failed(error);
      }
    });
    return this.refresh();
  }

  every(milliseconds, act) {
    const timer = setInterval(act, milliseconds);
    this.signal.addEventListener("abort", () => clearInterval(timer));
  }

  // The banner speaks of an orchestrator that is away; what was drawn stays, to be read.
  #failed(error) {
    if (error instanceof Away && this.#drawn) return;
    let text = error.message;
    let title = error.status === 404 ? "Nothing here" : "This went wrong";
    if (error instanceof Away) {
      text = "This page appears as soon as the orchestrator answers.";
      title = "Waiting";
    } else if (!(error instanceof Problem)) console.error(error);
    this.#drawn = false;
    this.draw(heading(title), empty(text));
    this.#drawn = false;
  }
}

function go() {
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  const found = PAGES.map(([pattern, show]) => [pattern.exec(path), show]).find(([match]) => match);
  const same = page?.path === path && page.isDrawn;
  page?.leave();
  const id = found?.[0][1];
  page = new Page(path, new URLSearchParams(query), id && decodeURIComponent(id), same);
  for (const link of document.querySelectorAll("nav a")) {
    const own = link.getAttribute("href").slice(1);
    const here = own === "/" ? path === "/" : path.startsWith(own);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!same) scrollTo(0, 0);
  if (found) return found[1](page);
  page.title("Nothing here");
  return page.draw(heading("Nothing here"), empty("This address names no page of the console."));
}

function away(event) {
  const retry = el("button", { type: "button", onclick: () => page.refresh() }, "Try again");
  if (banner.hidden) banner.replaceChildren(el("span", null, event.detail), " ", retry);
  banner.hidden = false;
}

document.addEventListener("console:away", away);
document.addEventListener("console:back", () => {
  banner.hidden = true;
});
setInterval(() => banner.hidden || page.refresh(), 5_000);
setInterval(tellTime, 1_000);

document.getElementById("search").onsubmit = (event) => {
  event.preventDefault();
  const text = search.value.trim();
  if (text === "") return;
  location.hash = SAGA_ID.test(text)
    ? `#/sagas/${text.toLowerCase()}`
    : `#/sagas?${new URLSearchParams({ text })}`;
  search.value = "";
};

// The address is a page's; the skip link must not change it.
document.getElementById("skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  search.focus();
});

let resizing = null;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => page.refresh(), 200);
});
addEventListener("hashchange", go);
go();

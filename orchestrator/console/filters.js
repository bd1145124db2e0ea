// A list's filters: a form that shows what the address says, and changes it. So a filtered list can
// be linked to, and gone back to.

import { address, el } from "./dom.js";

// What is wanted, out of the address.
export function wantedOf(page, names) {
  return Object.fromEntries(names.map((name) => [name, page.query.get(name) ?? ""]));
}

// A choice among `[value, word]`; `""` is any.
export function choose(name, label, options) {
  return { name, label, input: (value) => el("select", { name },
    options.map(([one, shown]) => el("option", { value: one, selected: one === value }, shown))) };
}

export function written(name, label, placeholder) {
  return { name, label, input: (value) => el("input", { type: "search", name, value, placeholder, spellcheck: "false" }) };
}

// A choice takes effect at once, a text when it is entered or left. What has no field stays as it is.
export function filters(label, path, wanted, fields, ...more) {
  const go = (form) => {
    const told = Object.fromEntries(fields.map(({ name }) => [name, form.elements[name].value.trim()]));
    location.hash = address(path, { ...wanted, ...told });
  };
  return el(
    "form",
    {
      class: "filters",
      "aria-label": label,
      onsubmit: (event) => {
        event.preventDefault();
        go(event.currentTarget);
      },
      onchange: (event) => go(event.currentTarget),
    },
    fields.map(({ name, label: shown, input }) => el("label", null, el("span", null, shown), input(wanted[name]))),
    more,
    Object.values(wanted).some((value) => value !== "")
      && el("a", { href: `#${path}`, class: "quiet" }, "Clear"),
  );
}

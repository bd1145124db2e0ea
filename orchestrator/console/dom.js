// Building the page: elements from a name, attributes and children. Data only ever becomes text,
// never markup.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onchange", "oninput", "onsubmit"];
const PROPERTIES = [...HANDLERS, "checked", "indeterminate"];

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (PROPERTIES.includes(name)) node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  const shown = children.flat(Infinity);
  node.append(...shown.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// Makes `old` look like `fresh` in place, so that focus, scroll position, text being typed and what
// the reader has unfolded outlive a redraw.
export function morph(old, fresh) {
  const same = old.nodeName === fresh.nodeName && old.dataset?.key === fresh.dataset?.key;
  if (!same) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return undefined;
  }
  // What the reader types stays, until the page itself says otherwise.
  const rewritten = old.getAttribute("value") !== fresh.getAttribute("value");
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const handler of HANDLERS) old[handler] = fresh[handler];
  if (old.type === "checkbox") {
    old.checked = fresh.checked;
    old.indeterminate = fresh.indeterminate;
  }
  const children = [...fresh.childNodes];
  while (old.childNodes.length > children.length) old.lastChild.remove();
  const chosen = fresh.nodeName === "SELECT" ? fresh.value : null;
  children.forEach((child, index) => {
    const before = old.childNodes[index];
    if (before) morph(before, child);
    else old.append(child);
  });
  if (chosen !== null) old.value = chosen;
  else if (rewritten && old.nodeName === "INPUT" && old.type !== "checkbox") old.value = fresh.value;
  return undefined;
}

// A table whose cells know their column's name, for narrow screens where rows become blocks.
export function table(caption, columns, rows) {
  const head = columns.map((column) => el("th", { scope: "col" }, column));
  const body = rows.map(({ key, cells, attributes }) => {
    const filled = cells.map((cell, index) => {
      const label = typeof columns[index] === "string" ? columns[index] : "";
      return el("td", { "data-label": label, class: cell === "–" ? "none" : null }, Array.isArray(cell) ? el("span", null, cell) : cell);
    });
    return el("tr", { "data-key": key, ...attributes }, filled);
  });
  return el(
    "table",
    null,
    el("caption", { class: "unseen" }, caption),
    el("thead", null, el("tr", null, head)),
    el("tbody", null, body),
  );
}

export function heading(text, ...aside) {
  return el("header", { class: "heading" }, el("h1", { tabindex: "-1" }, text), ...aside);
}

export function section(title, ...children) {
  const id = `part-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return el("section", { "aria-labelledby": id }, el("h2", { id }, title), ...children);
}

// What an absence means, and what would fill it.
export function empty(text, ...more) {
  return el("p", { class: "empty" }, text, ...more);
}

export function link(path, ...children) {
  return el("a", { href: `#${path}` }, ...children);
}

// A path below the fragment, with what is wanted of the list there.
export function address(path, wanted = {}) {
  const query = new URLSearchParams(
    Object.entries(wanted).filter(([, value]) => value !== "" && value !== null && value !== undefined),
  ).toString();
  return query ? `${path}?${query}` : path;
}

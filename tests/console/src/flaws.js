// What would make the page hard to use for somebody: text or fields that reach over an edge, text
// that is too pale, and controls without a name. Answers a list of words; run in the page.

const flaws = [];
const words = (one) => `${one.tagName.toLowerCase()} “${one.textContent.trim().slice(0, 40)}”`;
const seen = (one) => one.checkVisibility() && !one.closest(".unseen, .skip");
const all = [...document.querySelectorAll("body *")].filter(seen);

// What can be scrolled into sight by itself is not cut off.
const scrolls = (one) => one && one.tagName !== "DIALOG" && one.tagName !== "BODY"
  && (["auto", "scroll"].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
for (const one of all) {
  const { left, right, width } = one.getBoundingClientRect();
  if (width > 1 && (right > innerWidth + 1 || left < -1) && !scrolls(one)) flaws.push(`over the edge: ${words(one)}`);
}

const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
const ground = (one) => {
  const [red, green, blue, alpha = 1] = channels(getComputedStyle(one).backgroundColor);
  return alpha > 0.5 ? [red, green, blue] : one.parentElement ? ground(one.parentElement) : [255, 255, 255];
};
const light = (rgb) => {
  const [red, green, blue] = rgb.map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
// What cannot be pressed may be pale; drawings are looked at by themselves.
const spared = "svg, option, :disabled, [aria-disabled=true]";
const speaks = (one) => [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
for (const one of all.filter((one) => speaks(one) && !one.closest(spared))) {
  const [dark, bright] = [light(channels(getComputedStyle(one).color).slice(0, 3)), light(ground(one))].sort((a, b) => a - b);
  const contrast = (bright + 0.05) / (dark + 0.05);
  if (contrast < 4.5) flaws.push(`hard to read (${contrast.toFixed(1)} to 1): ${words(one)}`);
}

for (const one of all.filter((one) => one.matches("a, button, summary, input, select, textarea, [role=img]"))) {
  const named = one.getAttribute("aria-label") || one.labels?.length > 0
    || (one.matches("a, button, summary") && one.textContent.trim() !== "");
  if (!named) flaws.push(`without a name: ${one.outerHTML.slice(0, 80)}`);
}
return flaws;

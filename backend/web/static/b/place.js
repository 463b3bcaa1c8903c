// Where somebody is on a page. The focus outlives the swap that takes its place away, and stays within a part that stands alone.
import { own } from "./busy.js";

const MOST = 20; // places that are remembered, the latest last
const FIT = "a[href], button:not(:disabled), input:not([type=hidden], :disabled), select:not(:disabled), textarea:not(:disabled), summary, [tabindex='0']";
const TOLD_BY = ["name", "value", "href", "form", "aria-label"];

let held; // what has the focus, as long as nobody leaves it on purpose
let swapping = false;
const places = [];

// How a place is told from others when its part is drawn anew; a button that has nothing else, by its words.
const told = (elt) => {
  if (elt.id) return { selector: `#${CSS.escape(elt.id)}` };
  const by = TOLD_BY.filter((name) => elt.hasAttribute(name) && !(name === "value" && elt.matches("input:not([type=checkbox], [type=radio])")));
  if (by.length) return { selector: elt.localName + by.map((name) => `[${name}="${CSS.escape(elt.getAttribute(name))}"]`).join("") };
  return elt.localName === "button" ? { selector: "button", words: elt.textContent } : { selector: "" };
};
const seen = (elt) => elt.matches(FIT) && elt.checkVisibility({ visibilityProperty: true });
const within = (part) => (part && seen(part) ? part : part && [...part.querySelectorAll(FIT)].find(seen));

// The same link, button or box as it was drawn anew.
const same = ({ selector, words, part }) => {
  const at = document.getElementById(part) ?? (selector.startsWith("#") ? document : null);
  return at && selector ? [...at.querySelectorAll(selector)].find((one) => seen(one) && one.textContent === (words ?? one.textContent)) : null;
};
// Else the part that it was in, or what comes first in that.
const find = (place) => {
  const at = document.getElementById(place.part);
  return same(place) ?? (place.part === "main" ? null : within(at));
};

const mend = ({ detail: { requestConfig } }) => {
  const at = document.activeElement;
  if (!held || (at && at !== document.body)) return;
  if (held.isConnected && held.disabled) return; // it can be pressed again in a moment
  const last = places.toReversed();
  const closes = requestConfig.elt.matches("[data-b-cancel]"); // what was opened, and so leads back to what opened it
  const opener = closes ? last.map(same).find(Boolean) : null;
  const found = held.isConnected && seen(held) ? held : (opener ?? last.map(find).find(Boolean));
  const place = found ?? document.getElementById("main");
  place?.focus({ preventScroll: true });
  if (found && own(requestConfig.elt)) found.scrollIntoView({ block: "nearest" }); // what a page asks by itself moves nothing
};

document.addEventListener("focusin", ({ target }) => {
  held = target;
  places.push({ ...told(target), part: target.parentElement?.closest("[id]")?.id ?? "" });
  if (places.length > MOST) places.shift();
});
document.addEventListener("focusout", ({ target }) => {
  if (!swapping && target.isConnected && !target.disabled) held = undefined;
});
document.addEventListener("htmx:beforeSwap", () => (swapping = true));
for (const name of ["htmx:afterSettle", "htmx:afterRequest"]) {
  document.addEventListener(name, (event) => {
    swapping = false;
    queueMicrotask(() => mend(event)); // after those that lead the focus themselves
  });
}

// A part that stands alone, as a drawer and a sheet do: what is beside it cannot be reached until it closes.
export const alone = (part, on) => {
  for (let at = part; at && at !== document.body; at = at.parentElement) {
    for (const other of at.parentElement.children) {
      if (other !== at && !other.matches(".b-shade, [role=status], [role=alert]")) other.inert = on;
    }
  }
};

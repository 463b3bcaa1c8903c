// The roles are light-dark() pairs, which a canvas cannot read: the browser resolves them on an element that is not shown.
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

export const colour = (role, part = 1) => {
  probe.style.color = `color-mix(in srgb, var(--b-${role}) ${part * 100}%, transparent)`;
  return getComputedStyle(probe).color;
};

// In which numbers and days are written: the page's language.
export const language = document.documentElement.lang.startsWith("en") ? "en-GB" : document.documentElement.lang;

// Draws what `selector` finds, now and whenever htmx brings more of it, and again when the theme changes.
export const drawing = (selector, draw) => {
  const all = (act) => document.querySelectorAll(selector).forEach(act);
  document.addEventListener("htmx:load", () => all(draw));
  new MutationObserver(() => all((place) => place.chart?.redraw())).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  all(draw);
};

// What takes more than a moment shows that it is being worked on: what will be replaced as a skeleton of the same size, the verb of
// the button that was pressed, a line at the top when the page is left; after a while how long it has been. Nothing is sent twice.
const MOMENT_MS = 150;
const LONG_MS = 3000;
const body = document.body;

export const own = (elt) => !elt.matches("[data-b-run]") && !/\b(load|every|from:body)/.test(elt.getAttribute("hx-trigger") ?? ""); // asked for by a person

const going = new Map(); // what was asked and is not answered → since when, and what says so
const slow = document.querySelector("[data-b-slow]");
const tell = () => {
  if (!slow) return;
  const since = Math.min(...[...going.values()].map(({ began }) => began));
  const waited = Date.now() - since;
  slow.hidden = !(waited >= LONG_MS); // also when nothing is going on
  if (!slow.hidden) slow.querySelector("[data-b-slow-seconds]").textContent = slow.dataset.bSlow.replace("#", (waited / 1000).toFixed(0));
};
setInterval(tell, 500);

const begin = (key, show) => going.set(key, { began: Date.now(), mark: setTimeout(show, MOMENT_MS) });
const end = (key) => {
  clearTimeout(going.get(key)?.mark);
  going.delete(key);
  tell();
};

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, target, requestConfig } }) => {
  if (!own(elt) || !target || target.matches("[data-b-run]")) return; // a run shows itself how far it is
  const look = requestConfig.verb === "get" ? "b-skeleton" : "b-working";
  begin(requestConfig, () => target.classList.add(look));
  const done = (event) => {
    if (event.detail.requestConfig !== requestConfig) return;
    end(requestConfig);
    target.classList.remove(look);
    document.removeEventListener("htmx:afterRequest", done);
  };
  document.addEventListener("htmx:afterRequest", done);
});

// Before htmx and the browser get to it: a form that is on its way already is not sent again.
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.classList.contains("htmx-request")) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    form.querySelectorAll(".b-pressed").forEach((button) => button.classList.remove("b-pressed"));
    (event.submitter ?? form.querySelector("button:not([type=button])"))?.classList.add("b-pressed");
  },
  true,
);
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.method === "post") event.target.classList.add("htmx-request"); // the browser's own way
});

addEventListener("beforeunload", () => begin("leaving", () => body.classList.add("b-leaving")));
addEventListener("pageshow", () => {
  end("leaving");
  body.classList.remove("b-leaving");
  document.querySelectorAll("form.htmx-request").forEach((form) => form.classList.remove("htmx-request"));
});

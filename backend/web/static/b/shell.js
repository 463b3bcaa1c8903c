// What every page has: the drawer, choices that submit themselves, toasts, copying, times in the reader's own zone, being offline.
import { own } from "./busy.js";
import { alone } from "./place.js";
import "./typed.js";

const root = document.documentElement;
const body = document.body;

const wide = matchMedia("(min-width: 900px)"); // as in shell.css: there the drawer is a menu that stands beside the page
const drawer = (open) => {
  const menu = document.getElementById("menu");
  const was = body.classList.contains("b-drawer-open");
  body.classList.toggle("b-drawer-open", open);
  alone(menu, open);
  menu.inert = !open && !wide.matches;
  document.querySelector("[data-b-drawer]")?.setAttribute("aria-expanded", String(open));
  const shade = document.querySelector(".b-shade");
  if (shade) shade.hidden = !open;
  if (open) document.querySelector("#menu a")?.focus();
  else if (was) document.querySelector("[data-b-drawer]")?.focus();  // a window that is only made narrower takes no focus
};
wide.addEventListener("change", () => document.getElementById("menu") && drawer(false));

// On a phone tabs are wider than the page: the one that is open is brought into view.
for (const tab of document.querySelectorAll(".b-tabs [aria-current]")) {
  const row = tab.parentElement;
  row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
}

// Of many features, the one that is open stands in the middle of its list in the menu.
for (const item of document.querySelectorAll(".b-menu-features [aria-current]")) {
  const list = item.closest(".b-menu-features");
  list.scrollTop = item.offsetTop - list.offsetTop - (list.clientHeight - item.offsetHeight) / 2;
}

const copyPart = async (button) => {
  await navigator.clipboard.writeText(button.parentElement.querySelector(".b-node-value").innerText.trim());
  button.classList.add("b-copied");
  setTimeout(() => button.classList.remove("b-copied"), 2000);
};

const copy = async (button) => {
  await navigator.clipboard.writeText(document.getElementById(button.dataset.bCopy).value);
  const word = button.querySelector("[data-b-copied]");
  const before = word.textContent;
  word.textContent = word.dataset.bCopied;
  button.classList.add("b-copied");  // a phone shows the icon alone
  setTimeout(() => {
    word.textContent = before;
    button.classList.remove("b-copied");
  }, 2000);
};

document.addEventListener("click", (event) => {
  const hit = (selector) => event.target.closest(selector);
  if (hit("[data-b-drawer]")) drawer(true);
  else if (hit("[data-b-drawer-close]")) drawer(false);
  else if (hit("[data-b-copy]")) copy(hit("[data-b-copy]"));
  else if (hit("[data-b-copy-part]")) copyPart(hit("[data-b-copy-part]"));
  else if (hit("[data-b-trouble-close]")) hit(".b-trouble").hidden = true;
  else if (hit("[data-b-toast-close]")) hit("[data-b-toast]").remove();
});
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("[data-b-dropdown][open]")) {
    if (!open.contains(event.target) || event.target.closest(".b-dropdown a")) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const dropdown = event.key === "Escape" && document.querySelector("[data-b-dropdown][open]");
  if (dropdown) {
    dropdown.open = false;
    dropdown.querySelector("summary").focus();
  }
  if (event.key === "Escape" && body.classList.contains("b-drawer-open")) drawer(false);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-b-submit]")) event.target.form.requestSubmit();
});

// A toast stays eight seconds, and as long as it is looked at. One at a time: the next shows when the first is gone.
const TOAST_MS = 8000;
const arm = (toast) => {
  if (!toast || toast.dataset.armed) return;
  toast.dataset.armed = "yes";
  const leave = () => {
    if (toast.matches(":hover, :focus-within")) return setTimeout(leave, 1000);
    const next = toast.nextElementSibling;
    toast.remove();
    return arm(next);
  };
  setTimeout(leave, TOAST_MS);
};

// The server writes times in its own zone; here they become the reader's. Only absolute ones: "4 min ago" is right anywhere.
const language = root.lang.startsWith("en") ? "en-GB" : root.lang;
const FORMS = {
  short: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  long: { weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" },
};
const zone = root.dataset.bZone ? { timeZone: root.dataset.bZone } : {};  // chosen by the reader, or their browser's
const exact = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "long", ...zone });
const words = (date, form) => {
  const year = date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  const part = Object.fromEntries(
    new Intl.DateTimeFormat(language, { ...FORMS[form], ...year, ...zone, hour12: false }).formatToParts(date).map((p) => [p.type, p.value]),
  );
  return [[part.weekday, part.day, part.month, part.year].filter(Boolean).join(" "), `${part.hour}:${part.minute}`].join(", ");
};
const localise = (within) => {
  for (const time of within.querySelectorAll("time[data-b-time]")) {
    const date = new Date(time.dateTime);
    time.title = exact.format(date);
    if (time.dataset.bTime in FORMS) time.textContent = words(date, time.dataset.bTime);
  }
};

// Where the reader is taken after a part was replaced: what was done, or what is asked.
document.addEventListener("htmx:afterSettle", ({ detail: { elt } }) => {
  const place = elt.querySelector?.("[data-b-focus]");
  if (!place || place.contains(document.activeElement)) return;
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
});

// How long something has been going on, where the server says since when.
const elapsed = () => {
  for (const word of document.querySelectorAll("[data-b-elapsed]")) {
    const seconds = Math.max(0, (Date.now() - new Date(word.dataset.bElapsed)) / 1000);
    if (seconds >= 1) word.textContent = word.dataset.bAgo.replace("#", seconds.toFixed(0));
  }
};
setInterval(elapsed, 1000);
document.addEventListener("htmx:load", elapsed); // what is asked for anew each second begins with the server's word

const online = () => {
  const bar = document.querySelector("[data-b-offline]");
  if (bar) bar.hidden = navigator.onLine;
  body.classList.toggle("b-off", !navigator.onLine);
  for (const button of document.querySelectorAll(".b-run-button")) button.disabled = !navigator.onLine;
};

// What was asked and got no answer, or one that no page can show, is said; what a page asks by itself is not.
const trouble = ({ detail: { elt, xhr } }) => {
  const bar = document.querySelector("[data-b-trouble]");
  if (!bar || !own(elt) || !navigator.onLine) return;
  bar.hidden = false;
  bar.querySelector("[data-b-trouble-id]").textContent = xhr?.getResponseHeader("Bespoke-Request") ?? "";
};
// A part that comes anew each time it came is asked for again by nobody else when its answer fails: it goes on by itself.
const AGAIN_MS = 2000;
const again = ({ detail: { elt, xhr } }) => {
  if (!/\bload\b/.test(elt.getAttribute("hx-trigger") ?? "") || (xhr.status && xhr.status < 500)) return;
  setTimeout(() => elt.isConnected && window.htmx.ajax("GET", elt.getAttribute("hx-get"), { source: elt }).catch(() => {}), AGAIN_MS);
};
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(name, trouble);
  document.addEventListener(name, again);
}

// Who signs in in another tab makes the forms of this one outdated: they get the new token, if it is still the same person.
document.addEventListener("b-outdated", async () => {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html").body;
  const same = Boolean(body.dataset.bWho) && page.dataset.bWho === body.dataset.bWho;
  const bar = document.querySelector("[data-b-outdated]");
  bar.hidden = false;
  bar.querySelector("[data-b-outdated-same]").hidden = !same;
  bar.querySelector("[data-b-outdated-other]").hidden = same;
  if (!same) return;
  const headers = page.getAttribute("hx-headers");
  body.setAttribute("hx-headers", headers);
  for (const token of document.querySelectorAll("[name=csrfmiddlewaretoken]")) token.value = JSON.parse(headers)["X-CSRFToken"];
});
addEventListener("online", online);
addEventListener("offline", online);

const dress = (within) => {
  localise(within);
  arm(document.querySelector("[data-b-toast]"));
};
document.addEventListener("htmx:load", (event) => dress(event.detail.elt));
dress(document);
document.querySelector(".b-tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
online();

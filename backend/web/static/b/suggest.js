// Say what you want changed: the sheet on a phone, how many changes are ticked, a wish that is kept until it is asked.
import { alone } from "./place.js";

const box = () => document.getElementById("suggestion");
const phone = matchMedia("(max-width: 899.98px)"); // as in suggest.css: only there it is a sheet
let stands = false;
const lone = () => {
  const open = phone.matches && box()?.classList.contains("b-say-open");
  if (box() && open !== stands) alone(box(), (stands = open));
};

const sheet = (open) => {
  box().classList.toggle("b-say-open", open);
  lone();
  box().querySelector("[data-b-say-open]").setAttribute("aria-expanded", String(open));
  const place = open ? (box().querySelector("#wish:not([readonly])") ?? box().querySelector("[data-b-say-close]")) : box().querySelector("[data-b-say-open]");
  place?.focus();
};

const count = () => {
  const button = box()?.querySelector("[data-b-accept]");
  if (!button) return;
  const ticked = box().querySelectorAll("[data-b-op]:checked").length;
  button.disabled = ticked === 0;
  button.querySelector("[data-b-accept-word]").textContent = ticked === 1 ? button.dataset.one : button.dataset.many.replace("#", ticked);
};

const wishKey = (form) => `b-wish:${form.dataset.bWish}`;
const restore = () => {
  const form = box()?.querySelector("[data-b-wish]");
  const area = form?.querySelector("#wish");
  if (!area || area.readOnly || area.value) return;
  area.value = localStorage.getItem(wishKey(form)) ?? "";
  area.dispatchEvent(new Event("input", { bubbles: true }));
};

document.addEventListener("input", (event) => {
  const form = event.target.id === "wish" && event.target.closest("[data-b-wish]");
  if (!form) return;
  if (event.target.value.trim()) localStorage.setItem(wishKey(form), event.target.value);
  else localStorage.removeItem(wishKey(form));
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-b-op]")) return;
  count();
  const older = box().querySelector("[data-b-say-older]");
  if (older && box().querySelector("#trial > *")) older.hidden = false;
});
document.addEventListener("click", (event) => {
  const hit = (selector) => event.target.closest(selector);
  if (hit("[data-b-say-open]")) sheet(true);
  else if (hit("[data-b-say-close]")) sheet(false);
  else if (hit("[data-b-wish-gone]")) localStorage.removeItem(wishKey(box().querySelector("[data-b-wish]")));
});
// To change a proposal first is to open its field with the proposal as the draft of it.
document.addEventListener(
  "click",
  (event) => {
    const link = event.target.closest("[data-b-edit-first]");
    if (!link) return;
    const draft = [["mode", link.dataset.mode], ["value", link.dataset.text]];
    const key = `b-draft:${document.getElementById("editor").dataset.bEditor}:${link.dataset.bEditFirst}`;
    localStorage.setItem(key, JSON.stringify(draft));
    if (phone.matches) sheet(false);
  },
  true,
);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && phone.matches && box()?.classList.contains("b-say-open")) sheet(false);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "wish") {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});
// Asked and heard: the wish is kept with its suggestion from then on.
document.addEventListener("htmx:beforeSwap", (event) => {
  const form = event.detail.requestConfig.elt.closest?.("[data-b-wish]");
  if (form && event.detail.xhr.status < 300) localStorage.removeItem(wishKey(form));
});
const dress = () => {
  restore();
  count();
  lone();
};
document.addEventListener("htmx:load", dress);
phone.addEventListener("change", lone);
dress();

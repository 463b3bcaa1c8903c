// Forms of settings: what is typed stays on this device until it is saved or taken out, and stands there again after a reload.
// [data-b-typed] says whose form it is and which. Only what differs from what the server drew is kept; secrets are in no such form.
const key = (form) => `b-typed:${form.dataset.bTyped}`;
const choice = (part) => part.matches("[type=checkbox], [type=radio]");
const parts = (form) => [...form.elements].filter((part) => part.name && !part.matches("[type=hidden], [type=password], button"));
const called = (part) => part.name + (choice(part) ? `=${part.value}` : "");
const value = (part) => (choice(part) ? part.checked : part.value);
const state = (form) => Object.fromEntries(parts(form).map((part) => [called(part), value(part)]));

const fresh = new WeakMap(); // form → as the server drew it

const line = (form, shown) => {
  form.querySelector("[data-b-typed-line]")?.remove();
  if (!shown) return;
  const foot = form.querySelector(".b-card-foot, .b-row-verbs");
  foot.before(document.getElementById("typed-line").content.cloneNode(true));
};

const set = (form, values) => {
  for (const part of parts(form)) {
    if (!(called(part) in values)) continue;
    if (choice(part)) part.checked = values[called(part)];
    else part.value = values[called(part)];
  }
};

const keep = (form) => {
  const was = fresh.get(form);
  const changed = Object.entries(state(form)).filter(([name, now]) => was[name] !== now);
  if (changed.length) localStorage.setItem(key(form), JSON.stringify(Object.fromEntries(changed)));
  else if (!form.querySelector(".b-problems")) localStorage.removeItem(key(form)); // what was refused is not saved either
  if (!changed.length) line(form, false);
};

const draw = (form) => {
  if (fresh.has(form)) return;
  fresh.set(form, state(form));
  const kept = JSON.parse(localStorage.getItem(key(form)) ?? "{}");
  if (!Object.entries(kept).some(([name, then]) => name in fresh.get(form) && fresh.get(form)[name] !== then)) return;
  set(form, kept);
  line(form, true);
};

const dress = () => document.querySelectorAll("form[data-b-typed]").forEach(draw);
for (const name of ["input", "change"]) {
  document.addEventListener(name, ({ target }) => target.form?.matches("[data-b-typed]") && keep(target.form));
}
document.addEventListener("click", ({ target }) => {
  const form = target.closest("[data-b-typed-gone]")?.closest("form");
  if (!form) return;
  set(form, fresh.get(form));
  localStorage.removeItem(key(form));
  line(form, false);
  parts(form)[0]?.focus();
});

// What was taken is kept by the server from then on; what was refused, or only tried, stays here.
document.addEventListener("htmx:beforeSwap", ({ detail: { requestConfig, xhr } }) => {
  const form = requestConfig.elt;
  const tried = requestConfig.formData.get("act") === "try";
  if (form.matches?.("form[data-b-typed]") && requestConfig.verb === "post" && xhr.status < 300 && !tried) localStorage.removeItem(key(form));
});
// A form that the browser itself sends was taken if it does not come back.
const SENT = "b-sent";
document.addEventListener("submit", ({ target: form, defaultPrevented }) => {
  const name = form.dataset.bTyped ? key(form) : form.dataset.bKeep && `b-keep:${form.dataset.bKeep}`;
  if (name && !defaultPrevented && !form.hasAttribute("hx-post")) sessionStorage.setItem(SENT, name);
});
const sent = sessionStorage.getItem(SENT);
sessionStorage.removeItem(SENT);
const back = [...document.querySelectorAll("form")].some((form) => sent === `b-typed:${form.dataset.bTyped}` || sent === `b-keep:${form.dataset.bKeep}`);
if (sent && !back) localStorage.removeItem(sent);

document.addEventListener("htmx:load", dress);
dress();

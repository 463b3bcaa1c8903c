// The editor: rows open by Enter, close by Esc, and what is typed is kept on this device until it is saved or discarded.
const editor = () => document.getElementById("editor");
const prefix = () => `b-draft:${editor()?.dataset.bEditor}:`;
const key = (field) => prefix() + field;

const drafts = () => Object.keys(localStorage).filter((name) => name.startsWith(prefix()));
const KEPT = /^(value|mode|who|name|run|in(\/.*)?|out(\/.*)?)$/;
const typed = (form) => JSON.stringify([...new FormData(form)].filter(([name]) => KEPT.test(name)));
const rowOf = (field) => document.querySelector(`[data-b-field="${CSS.escape(field)}"]`);

let discarded = [];

const banner = () => {
  const bar = document.querySelector("[data-b-drafts]");
  if (!bar) return;
  const fields = drafts().map((name) => name.slice(prefix().length));
  const words = bar.querySelector("[data-b-drafts-count]");
  bar.hidden = fields.length === 0 && discarded.length === 0;
  words.textContent = fields.length === 1 ? words.dataset.one : words.dataset.many.replace("#", fields.length);
  const button = bar.querySelector("[data-b-discard]");
  button.dataset.word ??= button.textContent;
  button.textContent = discarded.length ? button.dataset.undo : button.dataset.word;
  for (const mark of document.querySelectorAll("[data-b-draft-mark]")) {
    mark.hidden = !fields.includes(mark.closest("[data-b-field]").dataset.bField);
  }
};

// A box with rows in it is drawn by the server with the draft in it; once, since what comes back may lack empty rows.
const asked = new Set();
const drawn = (form, kept) => {
  const name = form.dataset.bBox;
  if (asked.has(name) || form.querySelector(".b-problems")) return;
  asked.add(name);
  const values = new FormData();
  for (const [part, value] of JSON.parse(kept)) values.append(part, value);
  values.append("act", "draw");
  if (!name.startsWith("+")) values.append("field", name);
  const target = name.startsWith("+") ? document.getElementById("editor") : form.closest("[data-b-field]");
  window.htmx.ajax("POST", location.pathname, { target, swap: "outerHTML", values });
};

const restore = (form) => {
  form.dataset.saved ??= typed(form);
  const kept = localStorage.getItem(key(form.dataset.bBox));
  if (!kept || kept === typed(form)) return;
  if ("bDraw" in form.dataset) return drawn(form, kept);
  for (const [name, value] of JSON.parse(kept)) {
    for (const part of form.querySelectorAll(`[name="${name}"]`)) {
      if (part.type === "radio") part.checked = part.value === value;
      else part.value = value;
    }
  }
  form.querySelectorAll("[data-b-grow]").forEach((area) => area.dispatchEvent(new Event("input", { bubbles: true })));
};

const keep = (form) => {
  if (form.dataset.gone) return;
  discarded = [];
  if (typed(form) === form.dataset.saved) localStorage.removeItem(key(form.dataset.bBox));
  else localStorage.setItem(key(form.dataset.bBox), typed(form));
  banner();
};

const discard = () => {
  if (discarded.length) {
    discarded.forEach(([name, value]) => localStorage.setItem(name, value));
    discarded = [];
  } else {
    discarded = drafts().map((name) => [name, localStorage.getItem(name)]);
    discarded.forEach(([name]) => localStorage.removeItem(name));
    document.querySelectorAll("[data-b-box] [data-b-cancel]").forEach((link) => link.click());
  }
  banner();
};

// What is inherited stands ready to be changed, not to be added to itself: an untouched text follows the mode.
const follow = (form, mode) => {
  const area = form.querySelector("[data-b-as-set]");
  const texts = { set: area?.dataset.bAsSet, append: area?.dataset.bAsAppend };
  if (!area || area.value !== texts[mode === "set" ? "append" : "set"]) return;
  area.value = texts[mode];
  area.dispatchEvent(new Event("input", { bubbles: true }));
};

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-b-box]");
  if (form) keep(form);
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-b-box]");
  if (form && event.target.name === "mode") follow(form, event.target.value);
  if (form) keep(form);
});
document.addEventListener("b:rows", (event) => {
  const form = event.target.closest("[data-b-box]");
  if (form) keep(form);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-b-edit], [data-b-cancel], .b-add")) asked.clear();
  if (event.target.closest("[data-b-discard]")) discard();
});
document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("[data-b-openable]");
  if (event.key === "Enter" && event.target === row) row.querySelector("[data-b-edit]")?.click();
  if (event.key === "Escape") event.target.closest?.("[data-b-box]")?.querySelector("[data-b-cancel]")?.click();
});

// A save that went through takes its draft with it; one that was refused (4xx) leaves it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const form = event.detail.requestConfig.elt.closest("[data-b-box]");
  if (!form || event.detail.requestConfig.verb !== "post" || event.detail.xhr.status >= 300) return;
  form.dataset.gone = "yes"; // leaving the page, its text still fires a change
  localStorage.removeItem(key(form.dataset.bBox));
});

// Within the editor the focus goes to the box that opened, and from a box that closed back to its row.
let returnTo = "";
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.formData.get("act") === "draw" || !event.detail.elt.closest?.("#editor")) return;
  returnTo = event.detail.elt.closest("[data-b-field]")?.dataset.bField ?? "";
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (!event.detail.elt.closest?.("#editor")) return; // another part came anew: the focus stays where it is
  const box = document.querySelector("[data-b-box] .form-control") ?? document.querySelector("[data-b-box] :checked");
  const target = box ?? (returnTo && rowOf(returnTo));
  if (target && !target.contains(document.activeElement)) target.focus();
  if (box?.matches("textarea")) box.setSelectionRange(box.value.length, box.value.length);
});

const dress = () => {
  document.querySelectorAll("[data-b-box]").forEach(restore);
  banner();
};
document.addEventListener("htmx:load", dress);
addEventListener("storage", banner);
dress();

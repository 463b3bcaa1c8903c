// Forms whose text is kept on this device until it is sent: [data-b-keep] names what is kept. The server draws it again, but
// where [data-b-as-drawn] says that the form has no parts that come and go: then the text is put back into it here.
const key = (form) => `b-keep:${form.dataset.bKeep}`;
const SKIPPED = ["csrfmiddlewaretoken", "act", "etag"];
const pairs = (form) => [...new FormData(form)].filter(([name, value]) => !SKIPPED.includes(name) && typeof value === "string");
const forms = () => document.querySelectorAll("form[data-b-keep]");
const asked = () => ["run", "sample"].some((name) => new URLSearchParams(location.search).has(name));
const drawn = new Set(); // once for each page: what comes back is what was kept, less the rows that hold nothing

// What is as the server drew it, or as it was sent, needs no keeping.
const keep = (form) => {
  const typed = JSON.stringify(pairs(form));
  if (typed === form.dataset.bFresh) localStorage.removeItem(key(form));
  else localStorage.setItem(key(form), typed);
};

// Choices and texts back into the controls of their names, or of some; what the server alone says, in hidden ones, stays.
const put = (form, kept, named = () => true) => {
  const values = new Map();
  for (const pair of kept) values.set(pair[0], [...(values.get(pair[0]) ?? []), pair[1]]);
  for (const part of form.elements) {
    if (!named(part.name)) continue;
    const told = values.get(part.name);
    if (part.type === "radio" || part.type === "checkbox") part.checked = told?.includes(part.value) ?? false;
    else if (told && part.matches("input:not([type=hidden]), textarea, select")) part.value = told.shift() ?? part.value;
    if (part.matches("[data-b-grow]")) part.dispatchEvent(new Event("input", { bubbles: true }));
  }
};

const draw = async (form) => {
  if ("bFresh" in form.dataset) return; // it has been looked at when it came: now somebody types in it
  const kept = localStorage.getItem(key(form));
  form.dataset.bFresh = JSON.stringify(pairs(form));
  if (!kept || drawn.has(key(form)) || kept === form.dataset.bFresh) return;
  if (form.matches("[data-b-form]") && asked()) {
    const line = form.querySelector("[data-b-kept]");
    if (line) line.hidden = false;
    return;
  }
  if ("bAsDrawn" in form.dataset) return put(form, JSON.parse(kept));
  drawn.add(key(form));
  const values = new FormData();
  for (const [name, value] of JSON.parse(kept)) values.append(name, value);
  values.append("act", "draw");
  const part = form.matches("[data-b-form]") ? form : (form.closest("section") ?? form);
  await window.htmx.ajax("POST", form.action, { source: form, target: part, swap: "outerHTML", values });
};

document.addEventListener("input", (event) => event.target.form?.matches("[data-b-keep]") && keep(event.target.form));
document.addEventListener("change", (event) => event.target.form?.matches("[data-b-keep]") && keep(event.target.form));
document.addEventListener("b:rows", (event) => {
  const form = event.target.closest("[data-b-keep]");
  if (form) keep(form);
});
document.addEventListener("click", (event) => {
  const gone = event.target.closest("[data-b-keep-gone]");
  if (gone) localStorage.removeItem(`b-keep:${gone.dataset.bKeepGone}`);
});
// What was sent and taken is kept with the run from then on; what was refused stays here.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, xhr } = event.detail;
  const form = requestConfig.elt.closest?.("form[data-b-keep]");
  const act = requestConfig.formData.getAll("act").at(-1);
  if (!form || requestConfig.verb !== "post" || xhr.status >= 300 || ["draw", "look", "try"].includes(act)) return;
  if (requestConfig.elt !== form && !("bAsDrawn" in form.dataset)) return;
  form.dataset.bFresh = JSON.stringify(pairs(form));
  localStorage.removeItem(key(form));
});
// A button of a form draws it anew, with a row more or less: it goes on as the same form. What was typed while the answer was
// on its way stands there too, since what it belongs to has the same name.
const anew = new WeakMap(); // what was asked → the form that it replaces
document.addEventListener("htmx:beforeSwap", ({ detail: { requestConfig, target } }) => {
  if (target !== requestConfig.elt && target.matches("form[data-b-keep]")) anew.set(requestConfig, target);
});
document.addEventListener("htmx:afterSwap", ({ detail: { requestConfig } }) => {
  const old = anew.get(requestConfig);
  const form = old && [...forms()].find((one) => one.dataset.bKeep === old.dataset.bKeep);
  if (!form) return;
  const [sent, typed] = [requestConfig.formData, new FormData(old)];
  form.dataset.bFresh = old.dataset.bFresh;
  put(form, pairs(old), (name) => `${sent.getAll(name)}` !== `${typed.getAll(name)}`);
  keep(form);
});
document.addEventListener("htmx:load", () => forms().forEach(draw));
forms().forEach(draw);

// A version as a form: checked by the server while it is typed, problems beside their fields, kept on this device as it
// stands; in the key beside it the text that it comes to, which the editor of the text goes on with.
const WAIT_MS = 500;
const KEEP = "bespoke:write:";
const SKIPPED = ["csrfmiddlewaretoken", "act", "sure"];

const form = () => document.getElementById("write");
const here = () => document.querySelector("#write [data-b-version]");
const key = () => KEEP + form().dataset.bDraft;
const inForm = () => `${key()}:form`;
const pairs = () => JSON.stringify([...new FormData(form())].filter(([name]) => !SKIPPED.includes(name)));
const forget = () => [key(), inForm()].forEach((name) => localStorage.removeItem(name));

const send = (act, sent) => {
  const values = new FormData();
  for (const [name, value] of sent) values.append(name, value);
  values.append("act", act);
  return window.htmx.ajax("POST", location.pathname, { target: "#page", swap: "outerHTML", values });
};

const at = (name) =>
  form().querySelector(`[data-b-at="${CSS.escape(name)}"]`) ?? form().querySelector(`[name="${CSS.escape(name)}"]:not([type=hidden])`);
const unfold = (part) => {
  for (let fold = part.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
};

const mark = (wrong) => {
  here().querySelectorAll(".b-problems").forEach((told) => told.remove());
  for (const part of here().querySelectorAll(".is-invalid, [aria-invalid]")) {
    part.classList.remove("is-invalid");
    part.removeAttribute("aria-invalid");
    part.removeAttribute("aria-describedby");
  }
  for (const { at: name, message } of wrong) {
    const part = name && at(name);
    if (!part) continue;
    const told = document.querySelector("[data-b-problem]").content.firstElementChild.cloneNode(true);
    told.querySelector("p").append(message);
    const box = part.matches("fieldset, details") ? part : part.closest(".b-control");
    box.append(told);
    if (box === part) continue;
    told.id = `${part.id}-told`;
    part.classList.add("is-invalid");
    part.setAttribute("aria-invalid", "true");
    part.setAttribute("aria-describedby", told.id);
  }
};

// What the server says of the form as it was sent: kept on this device as long as it is otherwise than it began.
const told = () => {
  const { bChecked, bChanged, bText } = document.getElementById("checked").dataset;
  mark(JSON.parse(bChecked || "[]"));
  form().querySelector("[data-b-kept]").hidden = !bChanged;
  if (!bChanged) return forget();
  localStorage.setItem(inForm(), pairs());
  if (bText !== undefined) localStorage.setItem(key(), bText);
};

let timer = 0;
const typed = () => {
  localStorage.setItem(inForm(), pairs());
  form().querySelector("[data-b-kept]").hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => window.htmx.trigger(here().parentElement.querySelector("[data-b-check]"), "b-typed"), WAIT_MS);
};

// Examples are forms of the schemas: these are drawn anew when a schema has been changed, what is open staying so.
let drawing;
const draw = () => {
  drawing = pairs();
  send("draw", JSON.parse(drawing));
};
let open = [];
const folds = () => [...here().querySelectorAll("details")].map((fold) => [fold.id || fold.dataset.bAt, fold.open]);

document.addEventListener("input", (event) => here()?.contains(event.target) && typed());
document.addEventListener("b:rows", (event) => {
  if (!here()?.contains(event.target)) return;
  const count = event.target.parentElement.querySelector(":scope > summary [data-b-rows-count]");
  if (count) count.textContent = event.target.querySelectorAll(":scope > [data-b-list] > [data-b-row]").length;
  typed();
});
document.addEventListener("change", (event) => {
  if (!here()?.contains(event.target)) return;
  typed();
  if (["in/input", "in/output"].includes(event.target.name)) draw();
});
document.addEventListener("click", (event) => {
  if (!here()) return;
  const jump = event.target.closest("[data-b-jump]");
  if (jump) {
    const part = at(jump.dataset.bJump);
    if (part.matches("details")) part.open = true;
    unfold(part);
    (part.matches("fieldset, details") ? part.querySelector("summary, input:not([type=hidden]), textarea, select, button") : part).focus();
  }
  if (event.target.closest("button[data-b-drop]")) {
    forget();
    location.reload();
  }
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, target } = event.detail;
  if (target.id !== "page" || !here()) return;
  const drawn = drawing !== undefined && requestConfig.formData.get("act") === "draw";
  if (drawn && drawing !== pairs()) {
    event.detail.shouldSwap = false; // somebody typed on meanwhile: it is drawn again of that
    return draw();
  }
  if (drawn) drawing = undefined;
  open = folds();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (!form()) return;
  if (event.detail.target.id === "checked" && here()) told();
  if (event.detail.target.id !== "page") return;
  if (!here()) return localStorage.removeItem(inForm()); // the text says it all
  const was = new Map(open);
  for (const fold of here().querySelectorAll("details")) fold.open ||= was.get(fold.id || fold.dataset.bAt) ?? false;
  told();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr?.getResponseHeader("HX-Redirect") && form()?.contains(event.detail.elt)) forget();
});

// What was kept, of whichever of the two was typed in last; once, when the page comes.
const kept = form() && localStorage.getItem(inForm());
const text = form() && localStorage.getItem(key());
if (kept) send(here() ? "draw" : "yaml", JSON.parse(kept));
else if (here() && text !== null && text !== form().elements.text.value)
  send("form", [["from", form().elements.from.value], ["text", text], ["message", form().elements.message.value], ["sure", "yes"]]);

// Forms: rows that can be added, moved and taken out, texts that grow, Ctrl+Enter, pasting and dropping, counting characters.
import { whenDropped } from "./drop.js";

const MAX_FILE = 1_000_000; // bytes; the server has the last word on what is too long

const grow = (area) => {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
};

const tally = (rows) => {
  const all = [...rows.querySelectorAll(":scope > [data-b-list] > [data-b-row]")];
  const count = all.filter((row) => [...row.querySelectorAll(".form-control")].some((part) => part.value.trim())).length;
  const most = Number(rows.dataset.bMost) || Infinity;
  const add = rows.querySelector(":scope > [data-b-add]");
  if (add) add.hidden = all.length >= most;
  const word = rows.querySelector(":scope > legend [data-b-tally]");
  if (word && most < Infinity) word.textContent = `${count} ${word.dataset.bOf} ${most}`;
};

const changed = (rows) => rows.dispatchEvent(new CustomEvent("b:rows", { bubbles: true }));

const moveRow = (row, up) => {
  const other = up ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return;
  const focused = document.activeElement;
  if (up) other.before(row);
  else other.after(row);
  (row.contains(focused) && getComputedStyle(focused).visibility !== "hidden" ? focused : row.querySelector("input:not([type=hidden]), textarea"))?.focus();
  changed(row.closest("[data-b-rows]"));
};

const addRow = (rows) => {
  const blank = rows.querySelector(":scope > template[data-b-blank]");
  const row = blank.content.firstElementChild.cloneNode(true);
  const token = row.querySelector(":scope > [data-b-token]");
  if (token) {
    const made = `n${Date.now().toString(36)}`;
    const prefix = `${token.name}/new`;
    const renamed = (text) => text.replace(prefix, `${token.name}/${made}`);
    for (const part of row.querySelectorAll("[name], template")) {
      if (part.matches("template")) part.innerHTML = part.innerHTML.replaceAll(prefix, `${token.name}/${made}`);
      else part.name = renamed(part.name);
      if (part.id) part.id = `${part.id}-${made}`;
    }
    for (const label of row.querySelectorAll("label[for]")) label.htmlFor = `${label.htmlFor}-${made}`;
    token.value = made;
  }
  rows.querySelector(":scope > [data-b-list]").append(row);
  changed(rows);
  row.querySelector("input:not([type=hidden]), textarea, select")?.focus();
  tally(rows);
};

const removeRow = (row) => {
  const rows = row.closest("[data-b-rows]");
  const near = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  tally(rows);
  changed(rows);
  (near?.querySelector("input:not([type=hidden]), textarea") ?? rows.querySelector("[data-b-add]"))?.focus();
};

const put = (area, text) => {
  area.value = text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
};

const firstArea = () => document.querySelector("[data-b-form] [data-b-drop], [data-b-form] .form-control");

const empty = (form) => {
  for (const part of form.querySelectorAll(".form-control, select")) part.value = "";
  for (const part of form.querySelectorAll("input[type=checkbox], input[type=radio]")) part.checked = "bNone" in part.dataset;
  for (const row of [...form.querySelectorAll("[data-b-list] > [data-b-row]")].filter((r) => r.previousElementSibling)) row.remove();
  form.querySelectorAll("[data-b-rows]").forEach(tally);
  form.querySelectorAll(".b-controls .b-problems").forEach((problems) => (problems.hidden = true));
  form.querySelectorAll(".is-invalid").forEach((part) => part.classList.remove("is-invalid"));
  form.querySelectorAll("[data-b-grow]").forEach((area) => (grow(area), count(area)));
};

// Clearing can be undone until something else is typed: the controls as they were are put back as they were.
let cleared;
const clearWord = (form, undo) => {
  const button = form.querySelector("[data-b-clear]");
  const word = button?.querySelector("[data-b-clear-word]");
  if (!word) return;
  word.dataset.rest ??= word.textContent;
  word.textContent = undo ? button.dataset.undo : word.dataset.rest;
};
const clear = (form) => {
  const controls = form.querySelector(".b-controls");
  const before = cleared;
  cleared = before ? undefined : controls;
  controls.replaceWith(before ?? controls.cloneNode(true));
  if (!before) empty(form);
  clearWord(form, !before);
  changed(form);
  firstArea()?.focus();
};
const forgetCleared = (form) => {
  cleared = undefined;
  clearWord(form, false);
};

const count = (area) => {
  const word = document.querySelector(`[data-b-count-for="${CSS.escape(area.id)}"]`);
  if (!word) return;
  const length = [...area.value].length;
  word.textContent = `${length} ${word.dataset.of}`;
  word.classList.toggle("b-over", length > parseInt(word.dataset.of.replace(/\D+/g, ""), 10));
};

const read = async (file) => {
  const area = firstArea();
  if (!area || !file) return;
  const problem = document.querySelector("[data-b-file-problem]");
  const text = file.size <= MAX_FILE ? await file.text() : "\0";
  const unread = text.includes("\0"); // text has no such character, pictures and archives do
  if (problem) {
    problem.hidden = !unread;
    problem.textContent = unread ? problem.closest("form").dataset.bLost : "";
  }
  if (!unread) put(area, text);
};

document.addEventListener("click", async (event) => {
  const hit = (selector) => event.target.closest(selector);
  if (hit("[data-b-add]")) addRow(hit("[data-b-add]").closest("[data-b-rows]"));
  else if (hit("[data-b-remove]")) removeRow(hit("[data-b-row]"));
  else if (hit("[data-b-move]")) moveRow(hit("[data-b-row]"), hit("[data-b-move]").dataset.bMove === "up");
  else if (hit("[data-b-clear]")) clear(hit("form"));
  else if (hit("[data-b-unfold-button]")) hit("form").classList.add("b-unfolded");
  else if (hit("[data-b-paste]")) {
    const text = await navigator.clipboard?.readText().catch(() => ""); // refused by the person: nothing to paste
    if (text && firstArea()) put(firstArea(), text);
  }
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-b-file]")) return;
  read(event.target.files[0]);
  event.target.value = "";
});
// Pasted where nothing is chosen: it goes where it would have been typed.
document.addEventListener("paste", (event) => {
  const text = event.clipboardData?.getData("text");
  if (!text || event.target.closest?.("input, textarea, select, [contenteditable]") || !document.querySelector("[data-b-form]")) return;
  event.preventDefault();
  put(firstArea(), text);
});
document.addEventListener("input", (event) => {
  if (cleared && event.isTrusted && event.target.closest("[data-b-form]")) forgetCleared(event.target.form);
  if (event.target.matches("[data-b-grow]")) grow(event.target);
  if (event.target.id) count(event.target);
  const rows = event.target.closest("[data-b-rows]");
  if (rows) tally(rows);
});
document.addEventListener("keydown", (event) => {
  const row = event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key) && event.target.closest("[data-b-row]");
  if (row) {
    event.preventDefault();
    moveRow(row, event.key === "ArrowUp");
  }
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.form ?? document.querySelector("[data-b-form]");
  if (!form?.matches("[data-b-form], [data-b-box], [data-b-keep]")) return;
  event.preventDefault();
  if (form.querySelector("button[type=submit], button:not([type])")) form.requestSubmit(); // while a run goes on there is none
});
if (document.querySelector("[data-b-form]")) whenDropped((files) => read(files[0]));

const dress = (within) => {
  within.querySelectorAll("[data-b-grow]").forEach((area) => (grow(area), count(area)));
  within.querySelectorAll("[data-b-rows]").forEach(tally);
};
// On a phone the form folds to one line once there is an answer; a failed run leaves it open.
const fold = (output) => {
  const form = document.querySelector("[data-b-form]");
  if (!form || output.ariaBusy === "true" || !output.querySelector(".b-rate")) return;
  form.querySelector("[data-b-folded]").textContent = firstArea()?.value ?? "";
  form.classList.add("b-foldable");
  form.classList.remove("b-unfolded");
};
document.addEventListener("toggle", (event) => event.target.open && dress(event.target), true); // what is folded has no height
document.addEventListener("htmx:load", (event) => {
  dress(event.detail.elt);
  if (event.detail.elt.id === "output") fold(event.detail.elt);
});
document.fonts.ready.then(() => dress(document));
dress(document);

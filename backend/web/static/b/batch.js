// A file for a batch: dropped or chosen, measured before it is sent, and how far the sending has come.
import { whenDropped } from "./drop.js";

const form = document.querySelector("[data-b-batch]");
const input = form?.querySelector("input[type=file]");
const bar = form?.querySelector("progress");

// What was looked over is no longer what is chosen: it is taken away, and the new file is looked over by itself.
const chosen = () => {
  const file = input.files[0];
  const large = file && file.size > Number(form.dataset.bMost);
  const problem = form.querySelector("[data-b-file-problem]");
  problem.hidden = !large;
  problem.textContent = large ? form.dataset.bTooLarge : "";
  form.querySelector("#looked").replaceChildren();
  if (file && !large) form.requestSubmit(form.querySelector("[data-b-look]"));
};

if (form) {
  input.addEventListener("change", chosen);
  whenDropped((files) => {
    if (!files.length) return;
    input.files = files;
    chosen();
  });
  form.addEventListener("htmx:beforeRequest", (event) => {
    if (!form.querySelector("[data-b-file-problem]").hidden) event.preventDefault();
  });
  form.addEventListener("htmx:xhr:progress", ({ detail: { loaded, total, lengthComputable } }) => {
    if (!lengthComputable) return;
    bar.hidden = loaded >= total; // from there on the server reads it
    bar.value = loaded / total;
  });
  form.addEventListener("htmx:afterRequest", () => (bar.hidden = true));
}

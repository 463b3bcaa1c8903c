// My runs: two that are ticked can be compared.
const tell = (form) => {
  const ticked = form.querySelectorAll("[name=run]:checked").length;
  const bar = form.querySelector("[data-b-pick-bar]");
  bar.hidden = ticked === 0;
  bar.querySelector("button").disabled = ticked !== 2;
  bar.querySelector("[data-b-pick-word]").textContent = ticked === 1 ? bar.dataset.one : bar.dataset.two;
  for (const box of form.querySelectorAll("[name=run]")) box.disabled = ticked >= 2 && !box.checked;
};
document.addEventListener("change", (event) => event.target.closest("[data-b-pick]") && tell(event.target.form));
for (const form of document.querySelectorAll("[data-b-pick]")) tell(form);

// A page that renews itself: each part comes anew by its id, but never under the cursor, the focus or an opened table.
const looked = (part) => part.matches(":hover, :focus-within") || part.querySelector("details[open]");

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const part = event.detail.target;
  if (!part.matches("[data-b-live]") || !looked(part)) return;
  event.detail.shouldSwap = false;
  part.dataset.bWaits = "yes";
});

// As of when: said by the page as soon as it has not heard from the server for a minute.
const STALE_MS = 60_000;
let heard = Date.now();
document.addEventListener("htmx:afterOnLoad", () => (heard = Date.now()));
setInterval(() => {
  const line = document.querySelector("[data-b-stale]");
  if (line) line.hidden = Date.now() - heard < STALE_MS;
}, 5000);

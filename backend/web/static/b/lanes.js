// The picture of a timeline: arrow keys step between its moments in time order, with Shift by a day; Enter opens one, being a link.
const DAY = 24 * 60 * 60 * 1000;
const links = (box) => [...box.querySelectorAll(".b-lane-served .b-segment-of")];
const moment = (link) => new Date(new URL(link.href).searchParams.get("at")).getTime();

document.addEventListener("keydown", (event) => {
  const box = event.target.closest?.("[data-b-lanes]");
  if (!box || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const every = links(box);
  const here = event.target.closest(".b-segment-of");
  if (!here || every.length === 0) return;
  const step = event.key === "ArrowRight" ? 1 : -1;
  const from = moment(here) + (event.shiftKey ? step * DAY : 0);
  const later = every.filter((link) => moment(link) > from);
  const earlier = every.filter((link) => moment(link) < from);
  const next = step > 0 ? later[0] : earlier.at(-1);
  event.preventDefault();
  (next ?? (step > 0 ? every.at(-1) : every[0])).focus();
});

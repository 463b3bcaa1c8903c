// A month's spending: the line of what is gone, dotted where it is going, and the amounts that warn and stop.
import { colour, drawing, language } from "./colours.js";

const FONT = (size) => `600 ${size}px "Inter Variable", sans-serif`;
const scaled = (n) => n * devicePixelRatio;
// As much as the longest word beside the chart takes, in CSS pixels.
const beside = (list) => {
  const ctx = document.createElement("canvas").getContext("2d");
  ctx.font = FONT(12);
  return Math.ceil(Math.max(8, ...list.map(({ words }) => ctx.measureText(words).width))) + 12;
};

const limits = (list) => (chart) => {
  const { ctx, bbox } = chart;
  for (const { at, role, words } of list) {
    const y = chart.valToPos(at, "y", true);
    ctx.save();
    ctx.strokeStyle = colour(`${role}-fill`);
    ctx.fillStyle = colour(role);
    ctx.lineWidth = scaled(1.5);
    if (role !== "bad") ctx.setLineDash([scaled(5), scaled(4)]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = FONT(scaled(12));
    ctx.textBaseline = "middle";
    ctx.fillText(words, bbox.left + bbox.width + scaled(8), y);
    ctx.restore();
  }
};

// Where the line of what is gone ends: a dot, and how much that is.
const today = (values, words) => (chart) => {
  const last = values.findLastIndex((value) => value !== null);
  if (last < 0 || last === values.length - 1) return;
  const { ctx, bbox, data } = chart;
  const x = chart.valToPos(data[0][last], "x", true);
  const y = chart.valToPos(values[last], "y", true);
  ctx.save();
  ctx.fillStyle = colour("action");
  ctx.beginPath();
  ctx.arc(x, y, scaled(4), 0, 2 * Math.PI);
  ctx.fill();
  ctx.fillStyle = colour("text");
  ctx.font = FONT(scaled(12));
  const said = `${values[last].toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: values[last] >= 0.1 ? 2 : 6 })} ${words}`;
  const wide = ctx.measureText(said).width;
  const fits = x + scaled(8) + wide < bbox.left + bbox.width;
  ctx.textAlign = fits ? "left" : "right";
  ctx.textBaseline = fits ? "top" : "bottom";
  ctx.fillText(said, x + scaled(fits ? 8 : -8), y + scaled(fits ? 6 : -6));
  ctx.restore();
};

const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });
const amount = (n) => n.toLocaleString(language, { maximumFractionDigits: n >= 10 ? 2 : 6 });
const axis = () => ({ stroke: () => colour("muted"), font: '12px "Inter Variable", sans-serif', ticks: { show: false }, grid: { stroke: () => colour("line"), width: 1 } });

const draw = (place) => {
  if (place.chart || !place.clientWidth) return;
  const { times, values, ahead, limits: list, top } = JSON.parse(document.getElementById(place.dataset.bBurn).textContent);
  const told = document.getElementById(place.dataset.bTold);
  const known = values.filter((value) => value !== null).length;
  place.chart = new window.uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      padding: [8, list.length ? beside(list) : 16, 0, 0],
      legend: { show: false },
      axes: [
        { ...axis(), grid: { show: false }, size: 30, values: (_chart, ticks) => ticks.map((tick) => day.format(tick * 1000)) },
        { ...axis(), size: 64, values: (_chart, ticks) => ticks.map(amount) },
      ],
      scales: { x: { time: true }, y: { range: [0, top] } },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      series: [
        {},
        { stroke: () => colour("action"), fill: () => colour("action", 0.12), width: 2, points: { show: known < 2, size: 7 } },
        { stroke: () => colour("action"), dash: [3, 4], width: 1.75, points: { show: false } },
      ],
      hooks: {
        drawClear: [limits(list)],
        draw: [today(values, place.dataset.bToday)],
        setCursor: [({ cursor: { idx, left } }) => {
          const value = idx == null ? null : (values[idx] ?? ahead[idx]);
          const expected = value != null && values[idx] == null ? told.dataset.bExpected : "";
          told.textContent = left >= 0 && value != null ? `${day.format(times[idx] * 1000)}: ${amount(value)} ${expected}` : "\u00a0";
        }],
      },
    },
    [times, values, ahead],
    place,
  );
  new ResizeObserver(() => place.clientWidth && place.chart.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
};

drawing("[data-b-burn]", draw);

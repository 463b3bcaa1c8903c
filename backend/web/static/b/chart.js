// Guards over time: a line per card, the area above its limit shaded, the limit dashed; the server wrote the same as a table.
import { colour, drawing, language } from "./colours.js";

const limitOf = (limit) => (chart) => {
  const { ctx, bbox } = chart;
  if (limit === null) return;
  const y = chart.valToPos(limit, "y", true);
  ctx.save();
  ctx.fillStyle = colour("bad-fill", 0.12);
  ctx.fillRect(bbox.left, bbox.top, bbox.width, Math.max(0, y - bbox.top));
  ctx.strokeStyle = colour("bad-fill");
  ctx.lineWidth = devicePixelRatio * 1.5;
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
};

const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

const draw = (place) => {
  if (place.chart || !place.clientWidth) return;
  const { times, values, words, limit, top } = JSON.parse(place.dataset.bChart);
  const told = document.getElementById(place.dataset.bTold);
  const rest = told?.textContent;
  place.chart = new window.uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      padding: [0, 0, 0, 0],
      legend: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: true }, y: { range: [0, top] } },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      series: [{}, { stroke: () => colour("action"), width: 1.75, spanGaps: false, points: { show: values.filter((v) => v !== null).length < 2, size: 6 } }],
      hooks: {
        drawClear: [limitOf(limit)],
        setCursor: [({ cursor: { idx, left } }) => {
          if (told) told.textContent = left >= 0 && idx != null ? `${time.format(times[idx] * 1000)}: ${words[idx]}` : rest;
        }],
      },
    },
    [times, values],
    place,
  );
  new ResizeObserver(() => place.clientWidth && place.chart.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
};

drawing("[data-b-chart]", draw);

// The last hour of one zone, as two small charts: cars and phones have scales of their own.

import { byId, html, setText, svg } from "./dom.js";
import { getJson, reason } from "./read.js";

const REFRESH_MS = 15_000;
const KINDS = [["car", "Cars"], ["mobile", "Phones"]];
const WIDTH = 600;
const HEIGHT = 110;

let shown = null; // id of the zone
let timer = null;

const time = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function summary({ points }) {
  const peak = points.reduce((best, point) => (point.devices >= best.devices ? point : best));
  if (peak.devices === 0) return "none in the last hour";
  return `at most ${peak.devices} in a minute, at ${time(peak.start)}`;
}

function chart(history, kind, label) {
  const { points } = history;
  const most = Math.max(1, ...points.map((point) => point.devices));
  const step = WIDTH / points.length;
  const bars = points.map((point, index) => {
    const height = (point.devices / most) * HEIGHT;
    const place = { x: (index * step).toFixed(1), y: (HEIGHT - height).toFixed(1), width: (step - 1).toFixed(1), height: height.toFixed(1) };
    return svg("rect", place, svg("title", {}, `${time(point.start)}: ${point.devices}`));
  });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${summary(history)}` });
  drawing.append(...bars, svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  return html(
    "figure",
    { class: kind },
    html("figcaption", {}, html("b", {}, label), ` ${summary(history)}`),
    html("span", { class: "most" }, `${most}`),
    drawing,
    html("p", { class: "axis" }, html("span", {}, time(history.start)), html("span", {}, time(history.end))),
  );
}

async function refresh(zone) {
  try {
    const address = `v1/zones/${encodeURIComponent(zone)}/occupancy/history?window=1m&kind=`;
    const histories = await Promise.all(KINDS.map(([kind]) => getJson(address + kind)));
    if (zone !== shown) return;
    byId("charts").replaceChildren(...KINDS.map(([kind, label], index) => chart(histories[index], kind, label)));
    const known = histories.some((history) => history.first);
    setText(byId("detail-note"), known ? "Devices seen in each minute." : "Nothing has been recorded here yet.");
  } catch (error) {
    if (zone === shown) setText(byId("detail-note"), `The last hour cannot be shown: ${reason(error)}`);
  }
}

// Shows a zone's last hour, and keeps it up to date until another is shown.
export function showHistory(zone, name) {
  if (zone !== shown) {
    // Never one zone's hour under another's name.
    byId("charts").replaceChildren();
    setText(byId("detail-note"), "Reading …");
  }
  shown = zone;
  setText(byId("detail-title"), `${name}: last hour`);
  clearInterval(timer);
  timer = setInterval(refresh, REFRESH_MS, zone);
  refresh(zone);
}

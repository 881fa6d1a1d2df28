// The live map: draws /v1/zones once, then asks /v1/occupancy every second.

import { showHistory } from "./chart.js";
import { byId, html, setText, svg } from "./dom.js";
import { projection, WIDTH } from "./projection.js";
import { getJson, reason } from "./read.js";

const POLL_MS = 1000;
// Older than this, what is on the screen is said to be old.
const STALE_MS = 10_000;
// A zone has the colour of the last of these that its total reaches.
const LEVELS = [0, 1, 5, 20, 50, 100];

const views = new Map(); // zone id -> what shows it, on the map and in the list
let campusId = null;
let selected = null;
let newest = { at: null, since: 0, ttl: 1 }; // last_updated, when it was first seen here (ms), its ttl (s)

const time = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;
const spoken = (zone) => `${zone.name}: ${plural(zone.car, "car", "cars")}, ${plural(zone.mobile, "phone", "phones")}`;

function notice(state, text) {
  byId("notice").dataset.state = state;
  setText(byId("notice"), text);
}

function draw({ features }) {
  // Large zones first, so that what lies within another is on top of it.
  const { height, path, box } = projection(features.map((feature) => feature.geometry));
  const area = (feature) => box(feature.geometry).width * box(feature.geometry).height;
  const ordered = [...features].sort((a, b) => area(b) - area(a));
  byId("map").setAttribute("viewBox", `0 0 ${WIDTH} ${Math.ceil(height)}`);
  for (const { id, geometry, properties } of ordered) {
    const boundary = properties.role === "boundary";
    const { x, y } = box(geometry);
    const title = svg("title");
    const shape = svg("path", { d: path(geometry), "fill-rule": "evenodd" });
    const count = svg("text", { x: x.toFixed(1), y: y.toFixed(1) });
    const area = svg("g", { class: boundary ? "boundary" : `zone ${properties.category === "car_park" ? "car-park" : ""}` }, title, shape, count);
    const cells = [html("td"), html("td"), html("td")];
    const button = html("button", { type: "button", "aria-pressed": "false" }, properties.name);
    const row = html("tr", {}, html("th", { scope: "row" }, button), ...cells);
    const view = { id, boundary, title, count, area, cells, button, row, name: properties.name };
    views.set(id, view);
    if (boundary) {
      campusId = id;
      setText(byId("campus"), properties.name);
      document.title = `${properties.name}: occupancy`;
    } else {
      area.setAttribute("tabindex", "0");
      area.setAttribute("role", "button");
    }
    listen(view);
    byId("map").append(area);
    byId("rows").append(row);
  }
}

function listen(view) {
  const point = (on) => () => {
    view.area.classList.toggle("pointed", on);
    view.row.classList.toggle("pointed", on);
    if (on && view.zone) setText(byId("caption"), spoken(view.zone));
  };
  for (const part of view.boundary ? [view.row] : [view.area, view.row]) {
    part.addEventListener("pointerenter", point(true));
    part.addEventListener("pointerleave", point(false));
    part.addEventListener("focusin", point(true));
    part.addEventListener("focusout", point(false));
  }
  view.area.addEventListener("click", () => select(view.id));
  view.row.addEventListener("click", () => select(view.id));
  view.area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    select(view.id);
  });
}

function select(id) {
  selected = id;
  for (const view of views.values()) {
    view.area.classList.toggle("selected", view.id === id);
    view.row.classList.toggle("selected", view.id === id);
    view.button.setAttribute("aria-pressed", view.id === id);
  }
  showHistory(id, views.get(id).name);
}

function show(zone) {
  const view = views.get(zone.zone);
  if (!view) return;
  view.zone = zone;
  const level = LEVELS.findLastIndex((least) => zone.total >= least);
  if (!view.boundary) {
    view.area.dataset.level = level;
    setText(view.count, zone.total || "");
    view.area.setAttribute("aria-label", spoken(zone));
  }
  setText(view.title, spoken(zone));
  [zone.car, zone.mobile, zone.total].forEach((count, index) => setText(view.cells[index], count));
  view.row.classList.toggle("empty", zone.total === 0);
  if (view.area.classList.contains("pointed")) setText(byId("caption"), spoken(zone));
}

function sortRows(zones) {
  // The campus stays on top; sort() is stable and zones come in a fixed order, so equal counts do not jump about.
  const rank = (zone) => (zone.zone === campusId ? Infinity : zone.total);
  const rows = [...zones].sort((a, b) => rank(b) - rank(a)).flatMap((zone) => views.get(zone.zone)?.row ?? []);
  const body = byId("rows");
  const focused = document.activeElement;
  rows.forEach((row, index) => {
    if (body.children[index] !== row) body.insertBefore(row, body.children[index]);
  });
  // A row that is moved loses the focus.
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
}

function showAll({ zones, last_updated: at, ttl }) {
  if (at !== newest.at) newest = { at, since: performance.now(), ttl };
  zones.forEach(show);
  sortRows(zones);
  const campus = views.get(campusId)?.zone;
  setText(byId("cars"), campus?.car ?? "–");
  setText(byId("mobiles"), campus?.mobile ?? "–");
}

// Says how good what is on the screen is; `failure` is what the last attempt failed of, if it did.
function judge(failure) {
  const old = newest.at && performance.now() - newest.since > Math.max(STALE_MS, 5000 * newest.ttl);
  document.body.classList.toggle("old", Boolean(failure || old));
  if (failure && newest.at) notice("failed", `No new counts since ${time(newest.at)}: ${failure} Trying again.`);
  else if (failure) notice("failed", `No counts yet: ${failure} Trying again.`);
  else if (old) notice("stale", `The counts are old: they are those of ${time(newest.at)}.`);
  else notice("live", "Live");
}

async function poll() {
  try {
    if (views.size === 0) {
      draw(await getJson("v1/zones"));
      select(campusId);
    }
    showAll(await getJson("v1/occupancy"));
    judge(null);
  } catch (error) {
    judge(reason(error));
  }
  setTimeout(poll, POLL_MS);
}

LEVELS.forEach((least, level) => {
  const next = LEVELS[level + 1];
  const range = next === undefined ? `${least}+` : next === least + 1 ? `${least}` : `${least}–${next - 1}`;
  byId("legend").append(html("li", { "data-level": level }, range));
});
poll();

// The live map: what the pieces do with each other.

import { campusMap } from "./campus-map.js";
import { byId, html, setText } from "./dom.js";
import { flowsOn } from "./flows.js";
import { about, heading, KINDS } from "./kinds.js";
import { drawLegend } from "./legend.js";
import { follow } from "./live.js";
import { showStatus } from "./notice.js";
import { RELEASED, setCampus, short } from "./numbers.js";
import { panel } from "./panel.js";
import { zoneList } from "./zone-list.js";

/** @typedef {import("./numbers.js").Occupancy} Occupancy */

/** The mark of performance.mark() at which the zones and their counts are drawn for the first time. */
const FIRST_VIEW = "first-view";
/** What of a zone is drawn. */
const SHOWN = [...KINDS.map((kind) => kind.id), "total", "capacity", "percentage", "suppressed"];

/** The newest counts of each zone, in the order of the campus. @type {Map<string, Occupancy>} */
const zones = new Map();
/** @type {Map<string, string>} */
const names = new Map();
/** @type {import("./numbers.js").Shown} */
let shown = "total";
/** @type {string | null} */
let opened = null;
let campusId = "";
let willDraw = false;
/** Zones that are to be drawn again; with thousands of them, most are as they were. @type {Set<string>} */
const changed = new Set();

if (RELEASED) {
  const words = `No count here is the true one: each follows it in steps of ${RELEASED.step}, on the campus as a whole in larger ones, and that of a zone is nearer to it than ${RELEASED.edge}. `;
  const how = html("a", { href: "privacy" }, "Why");
  byId("notice").after(html("p", { class: "muted", id: "released" }, words, how));
}
const totals = KINDS.map((kind) => {
  const count = html("dd", {}, "–");
  byId("totals").append(about(html("div", {}, html("dt", {}, heading(kind)), count), kind));
  return { kind, count };
});
// Of one kind there is nothing to choose.
byId("kinds").hidden = KINDS.length === 1;
for (const kind of KINDS) {
  const radio = html("input", { type: "radio", name: "kind", value: kind.id });
  byId("kinds").append(html("label", {}, radio, html("span", {}, heading(kind))));
}
const map = campusMap(byId("map"), pick);
const list = zoneList(byId("columns"), byId("rows"), byId("spoken"), { onPick: pick, onPoint: (id) => map.mark("pointed", id) });
const detail = panel(close);
const flows = flowsOn(map, (id) => names.get(id) ?? id);

/** @param {string} id */
function pick(id) {
  opened = id;
  map.mark("selected", id);
  list.mark("selected", id);
  detail.open(id, names.get(id) ?? id, zones.get(id));
}

function close() {
  if (opened === null) return;
  const left = opened;
  opened = null;
  map.mark("selected", null);
  list.mark("selected", null);
  detail.hide();
  list.focus(left);
}

/** At the next frame: several changes that come together are drawn once. */
function drawSoon() {
  if (willDraw) return;
  willDraw = true;
  requestAnimationFrame(() => {
    willDraw = false;
    draw();
  });
}

function draw() {
  if (names.size === 0) return;
  const known = [...zones.values()].filter((zone) => names.has(zone.zone));
  const fresh = known.filter((zone) => changed.has(zone.zone));
  changed.clear();
  for (const zone of fresh) map.show(zone, shown);
  list.show(fresh, known, shown);
  list.speak(known);
  drawLegend(known.filter((zone) => zone.zone !== campusId), shown);
  const campus = zones.get(campusId);
  if (campus) {
    for (const { kind, count } of totals) setText(count, short(campus[kind.id], campusId));
  }
  const now = opened === null ? undefined : zones.get(opened);
  if (now) detail.show(now);
  if (campus && performance.getEntriesByName(FIRST_VIEW).length === 0) performance.mark(FIRST_VIEW);
}

/** @param {any} collection */
function takeZones(collection) {
  names.clear();
  for (const { id, properties } of collection.features) {
    names.set(id, properties.name);
    if (properties.role !== "boundary") continue;
    campusId = id;
    setCampus(id);
    setText(byId("campus"), properties.name);
    document.title = `${properties.name}: occupancy`;
  }
  map.draw(collection);
  list.draw(collection);
  flows.redraw();
  for (const id of names.keys()) changed.add(id);
  if (opened !== null && names.has(opened)) {
    map.mark("selected", opened);
    list.mark("selected", opened);
  } else close();
  drawSoon();
}

/** @param {Occupancy[]} counts */
function takeCounts(counts) {
  for (const zone of counts) {
    const known = zones.get(zone.zone);
    // What was asked for may arrive after what the stream said since.
    if (known && Date.parse(zone.last_updated) < Date.parse(known.last_updated)) continue;
    zones.set(zone.zone, zone);
    if (!known || SHOWN.some((member) => zone[member] !== known[member])) changed.add(zone.zone);
  }
  drawSoon();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
});
byId("kinds").addEventListener("change", (event) => {
  shown = /** @type {any} */ (event.target).value;
  for (const id of names.keys()) changed.add(id);
  flows.choose(shown);
  drawSoon();
});

follow({ onZones: takeZones, onCounts: takeCounts, onStatus: showStatus });

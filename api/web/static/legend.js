// What the colours mean.

import { byId, html } from "./dom.js";
import { KINDS } from "./kinds.js";
import { COUNT_LEVELS, measure, PERCENT_LEVELS, RELEASED, short } from "./numbers.js";

/** @type {string | null} */
let drawn = null;

/**
 * @param {number[]} levels
 * @param {string} unit
 */
function ranges(levels, unit) {
  return levels.map((least, index) => {
    const next = levels[index + 1];
    const range = next === undefined ? `${least}${unit}+` : next === least + 1 ? `${least}` : `${least}–${next - 1}`;
    return html("li", { "data-level": index }, range);
  });
}

/**
 * Explains the colours that these zones can have; writes only what changed.
 * @param {import("./numbers.js").Occupancy[]} zones
 * @param {import("./numbers.js").Shown} shown
 */
export function drawLegend(zones, shown) {
  const measured = zones.map((zone) => measure(zone, shown));
  const counts = measured.some(({ percent }) => !percent);
  const percentages = measured.some(({ percent }) => percent);
  const keptBack = measured.some(({ value }) => value === null);
  const now = `${counts} ${percentages} ${keptBack} ${shown === "total"}`;
  if (now === drawn) return;
  drawn = now;
  const scales = [];
  const few = keptBack ? short(null, undefined, shown === "total" ? KINDS.length : 1) : null;
  if (counts) scales.push(scale(percentages ? "Count (no capacity set)" : "Count", ranges(COUNT_LEVELS, ""), few));
  if (percentages) scales.push(scale("Per cent full", ranges(PERCENT_LEVELS, "%"), null));
  byId("legend").replaceChildren(...scales);
}

/**
 * @param {string} name
 * @param {HTMLElement[]} items
 * @param {string | null} few how many there are at the most where a count is kept back; null where none is
 */
function scale(name, items, few) {
  if (few) items.push(html("li", { "data-level": "kept-back" }, `${few}${RELEASED ? "" : " (not shown)"}`));
  return html("div", {}, html("span", {}, name), html("ul", { "aria-label": name }, ...items));
}

// The last 24 hours of one zone as a small chart: each kind has one, with a scale of its own.

import { html, setText, svg } from "./dom.js";
import { hourAndMinute, short } from "./numbers.js";

const WIDTH = 600;
const HEIGHT = 120;
const TICK_HOURS = 6;

/**
 * @typedef {object} Point one window
 * @property {string} start
 * @property {string} end
 * @property {number | null} devices null where the count is kept back
 */

/**
 * @typedef {object} History
 * @property {string} start
 * @property {string} end
 * @property {Point[]} points
 * @property {string | null} first start of the first window that is known; before it, 0 means nothing
 * @property {{ start: string, end: string }[]} unrecorded where nothing is known
 * @property {boolean} [protected] whether counts are released ones: then the first may be long after the system began
 */

/**
 * @typedef {object} Expected one hour of a forecast
 * @property {string} start
 * @property {string} end
 * @property {number | null} low null where it is kept back
 * @property {number | null} high
 */

const DAY_MS = 86_400_000;

/** @param {string} start RFC 3339 */
const ms = (start) => Date.parse(start);

/**
 * @param {Point[]} known
 * @returns {string} the busiest window, in words
 */
function peak(known) {
  const seen = known.filter((point) => point.devices !== null);
  if (seen.length === 0) return known.length === 0 ? "nothing recorded yet" : "too few to show";
  const most = seen.reduce((best, point) => ((point.devices ?? 0) > (best.devices ?? 0) ? point : best));
  return most.devices === 0 ? "none seen" : `at most ${short(most.devices)}, at ${hourAndMinute(most.start)}`;
}

/**
 * The outline of what was counted: one step for each window, with a gap where a count is kept back.
 * @param {Point[]} known
 * @param {(at: number) => number} x
 * @param {(devices: number) => number} y
 */
function outline(known, x, y) {
  return known
    .filter((point) => point.devices)
    .map((point) => {
      const [left, right, top] = [x(ms(point.start)), x(ms(point.end)), y(point.devices ?? 0)];
      return `M${left.toFixed(1)} ${HEIGHT}V${top.toFixed(1)}H${right.toFixed(1)}V${HEIGHT}Z`;
    })
    .join("");
}

/**
 * Where the day that comes is expected to be: a step for each hour, at the place of the same hour of the day that is over.
 * @param {Expected[]} expected
 * @param {(at: number) => number} x
 * @param {(devices: number) => number} y
 */
function band(expected, x, y) {
  return expected
    .map(({ start, end, low, high }) => {
      const [left, right] = [start, end].map((at) => Math.min(Math.max(x(ms(at) - DAY_MS), 0), WIDTH).toFixed(1));
      return `M${left} ${y(low ?? 0).toFixed(1)}V${y(high ?? 0).toFixed(1)}H${right}V${y(low ?? 0).toFixed(1)}Z`;
    })
    .join("");
}

/**
 * @param {number} from milliseconds
 * @param {number} until milliseconds
 * @returns {number[]} the full hours of the clock on the wall that can be written under the chart
 */
function ticks(from, until) {
  const tick = new Date(from);
  tick.setMinutes(0, 0, 0);
  const found = [];
  while (tick.getTime() <= until) {
    if (tick.getTime() >= from && tick.getHours() % TICK_HOURS === 0) found.push(tick.getTime());
    tick.setHours(tick.getHours() + 1);
  }
  return found;
}

/**
 * @param {History} history
 * @returns {Point[]} the windows of which something is known
 */
function knownOf({ points, first, unrecorded, protected: released }) {
  if (released) return points.filter(({ start }) => !unrecorded.some((gap) => ms(gap.start) <= ms(start) && ms(start) < ms(gap.end)));
  return first === null ? [] : points.filter((point) => ms(point.start) >= ms(first));
}

/**
 * @param {History} history
 * @param {string} label
 * @param {Expected[]} [forecast] of the day that comes; drawn behind the one that is over
 */
export function dayChart(history, label, forecast = []) {
  const { points } = history;
  const [from, until] = [ms(points[0].start), ms(points[points.length - 1].end)];
  const known = knownOf(history);
  const expected = forecast.filter(({ start, end, high }) => high !== null && ms(end) - DAY_MS > from && ms(start) - DAY_MS < until);
  const most = Math.max(1, ...known.map((point) => point.devices ?? 0), ...expected.map(({ high }) => high ?? 0));
  /** @param {number} at */
  const x = (at) => ((at - from) / (until - from)) * WIDTH;
  /** @param {number} devices */
  const y = (devices) => HEIGHT - (devices / most) * (HEIGHT - 4);

  const unknown = known.length === 0 ? WIDTH : x(ms(known[0].start));
  const hours = ticks(from, until);
  const cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, x1: -9, x2: -9 });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}, last 24 hours: ${peak(known)}` },
    svg("rect", { class: "unknown", x: 0, y: 0, width: unknown, height: HEIGHT }),
    ...hours.map((at) => svg("line", { class: "grid", x1: x(at), x2: x(at), y1: 0, y2: HEIGHT })),
    svg("path", { class: "tomorrow", d: band(expected, x, y) }),
    svg("path", { class: "seen", d: outline(known, x, y) }),
    svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
    cursor,
  );
  const told = html("span", { class: "told" }, peak(known));
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const at = from + ((/** @type {PointerEvent} */ (event).clientX - box.left) / box.width) * (until - from);
    const point = points.find(({ start, end }) => ms(start) <= at && at < ms(end));
    if (!point) return;
    const middle = x((ms(point.start) + ms(point.end)) / 2);
    cursor.setAttribute("x1", String(middle));
    cursor.setAttribute("x2", String(middle));
    const count = known.includes(point) ? short(point.devices) : "not recorded";
    setText(told, `${hourAndMinute(point.start)}: ${count}${later(expected, ms(point.start))}`);
  });
  drawing.addEventListener("pointerleave", () => {
    cursor.setAttribute("x1", "-9");
    cursor.setAttribute("x2", "-9");
    setText(told, peak(known));
  });
  return html(
    "figure",
    { class: "day" },
    html("figcaption", {}, html("b", {}, label), " ", told),
    drawing,
    axis(hours.map((at) => ({ at: x(at) / WIDTH, text: hourAndMinute(at) }))),
  );
}

/**
 * @param {Expected[]} expected
 * @param {number} at milliseconds
 * @returns {string} what is expected a day later, in words; empty where that is not known
 */
function later(expected, at) {
  const found = expected.find(({ start, end }) => ms(start) <= at + DAY_MS && at + DAY_MS < ms(end));
  if (!found) return "";
  const low = found.low === null ? short(null) : short(Math.round(found.low));
  return `; a day later ${low} to ${short(Math.round(found.high ?? 0))} are expected`;
}

/**
 * Words under a chart, each where its line is. Not in the drawing, which is stretched.
 * @param {{ at: number, text: string }[]} labels `at` from 0 to 1
 */
function axis(labels) {
  const words = labels.map(({ at, text }) => {
    const word = html("span", {}, text);
    // Half a word must fit on either side.
    word.style.left = `${(Math.min(Math.max(at, 0.05), 0.95) * 100).toFixed(1)}%`;
    return word;
  });
  return html("div", { class: "axis", "aria-hidden": "true" }, ...words);
}

// How long visits of one zone were, hour by hour of the last day: the middle half of them, and their median.

import { html, svg } from "./dom.js";
import { hourAndMinute } from "./numbers.js";

const WIDTH = 600;
const HEIGHT = 90;

/** @typedef {{ first_quartile: number, median: number, third_quartile: number }} Dwell in minutes */

/**
 * @typedef {object} Hour
 * @property {string} start
 * @property {string} end
 * @property {Dwell | null} dwell null where it is kept back, or not known
 */

/** @param {number} minutes */
const time = (minutes) => (minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")}`);

/**
 * @param {{ hours?: Hour[] }} visits
 * @param {string} label
 * @returns {HTMLElement | null} null where nothing is known of any hour
 */
export function stayChart({ hours = [] }, label) {
  const known = hours.flatMap(({ start, end, dwell }) => (dwell ? [{ start, end, ...dwell }] : []));
  if (known.length === 0) return null;
  const [from, until] = [Date.parse(hours[0].start), Date.parse(hours[hours.length - 1].end)];
  const most = Math.max(1, ...known.map((hour) => hour.third_quartile));
  /** @param {number} at */
  const x = (at) => ((at - from) / (until - from)) * WIDTH;
  /** @param {number} minutes */
  const y = (minutes) => HEIGHT - (minutes / most) * (HEIGHT - 4);
  const newest = known[known.length - 1];
  const told = `half of those who left between ${hourAndMinute(newest.start)} and ${hourAndMinute(newest.end)} had stayed ${time(newest.first_quartile)} to ${time(newest.third_quartile)}, median ${time(newest.median)}`;
  const drawn = known.flatMap(({ start, end, first_quartile: first, median, third_quartile: third }) => {
    const [left, right] = [x(Date.parse(start)), x(Date.parse(end))];
    const middle = (left + right) / 2;
    return [
      svg("line", { class: "quartiles", x1: middle, x2: middle, y1: y(first), y2: y(third) }),
      svg("line", { class: "median", x1: left + 4, x2: right - 4, y1: y(median), y2: y(median) }),
    ];
  });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}, how long visits were: ${told}` },
    ...drawn,
    svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
  );
  return html("figure", { class: "stay" }, html("figcaption", {}, html("b", {}, label), ` ${told}`), drawing);
}

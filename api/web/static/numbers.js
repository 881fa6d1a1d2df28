// Counts and times as people read them, and the level of colour that a count has.

import { option } from "./dom.js";

/** @typedef {"total" | "car" | "mobile"} Shown What the map and the list are about. */

/**
 * One zone's counts, as the API gives them. A count that is kept back to protect people is null.
 * @typedef {object} Occupancy
 * @property {string} zone
 * @property {string} name
 * @property {string | null} category
 * @property {number | null} car
 * @property {number | null} mobile
 * @property {number | null} total
 * @property {number | null} capacity
 * @property {number | null} percentage
 * @property {boolean} [suppressed]
 * @property {number | null} [lag_seconds]
 * @property {string} last_updated
 * @property {number} ttl
 */

/** A zone has the level of the last of these that its count, or its percentage, reaches. */
export const COUNT_LEVELS = [0, 1, 5, 20, 50, 100];
export const PERCENT_LEVELS = [0, 1, 25, 50, 75, 100];

const MIN_COUNT = Number(option("min-count"));
const MINUTE = 60;
const HOUR = 60 * MINUTE;

/**
 * What the map and the list colour a zone by: its percentage where a capacity says how much is full, else its count.
 * @typedef {object} Measure
 * @property {number | null} value null where it is kept back
 * @property {boolean} percent
 * @property {string} text as it is written in a narrow place
 */

/**
 * @param {Occupancy} zone
 * @param {Shown} shown
 * @returns {Measure}
 */
export function measure(zone, shown) {
  // The capacity of a car park is counted in cars, that of anything else in cars and phones together.
  const counted = zone.category === "car_park" ? "car" : "total";
  if (zone.percentage !== null && (shown === counted || (shown === "total" && counted === "car"))) {
    return { value: zone.percentage, percent: true, text: percent(zone.percentage) };
  }
  if (shown === "total") return { value: atLeast(zone), percent: false, text: shortTotal(zone) };
  return { value: zone[shown], percent: false, text: short(zone[shown]) };
}

/**
 * The total, or, where that is kept back, the cars, if there are any: there are a few phones at the most.
 * @param {Occupancy} zone
 */
const atLeast = (zone) => zone.total ?? (zone.car || null);

/**
 * @param {Measure} measured
 * @returns {string} the level of colour, "0" to "5", or "kept-back"
 */
export function level({ value, percent: isPercent }) {
  if (value === null) return "kept-back";
  return String((isPercent ? PERCENT_LEVELS : COUNT_LEVELS).findLastIndex((least) => value >= least));
}

/**
 * A count in a narrow place.
 * @param {number | null | undefined} count
 */
export function short(count) {
  if (count === null || count === undefined) return MIN_COUNT > 0 ? `<${MIN_COUNT}` : "–";
  return count.toLocaleString("en");
}

/**
 * A total in a narrow place.
 * @param {Occupancy} zone
 */
export const shortTotal = (zone) => (zone.total === null && zone.car ? `${short(zone.car)}+` : short(zone.total));

/** @param {number | null} percentage */
export const percent = (percentage) => (percentage === null ? "" : `${Math.round(percentage)}%`);

/**
 * @param {number | null} count
 * @param {string} one
 * @param {string} many
 */
export function plural(count, one, many) {
  if (count === null) return MIN_COUNT > 0 ? `fewer than ${MIN_COUNT} ${many}` : `${many} not shown`;
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** @param {Occupancy} zone */
export function counts(zone) {
  const full = zone.percentage === null ? "" : `, ${percent(zone.percentage)} full`;
  return `${plural(zone.car, "car", "cars")}, ${plural(zone.mobile, "phone", "phones")}${full}`;
}

/** @param {string | number} at an RFC 3339 text, or milliseconds since the epoch */
export const clock = (at) =>
  new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** @param {string | number} at as for clock */
export const hourAndMinute = (at) => new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 2 * MINUTE) return `${Math.round(seconds)} seconds`;
  if (seconds < 2 * HOUR) return `${Math.round(seconds / MINUTE)} minutes`;
  return `${Math.round(seconds / HOUR)} hours`;
}

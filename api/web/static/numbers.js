// Counts and times as people read them, and the level of colour that a count has.

import { option } from "./dom.js";
import { KINDS } from "./kinds.js";

/** @typedef {string} Shown What the map and the list are about: "total", or the id of a kind. */

/**
 * One zone's counts, as the API gives them, with one of each kind, by its id. A count that is kept back to protect
 * people is null.
 * @typedef {Counted & Record<string, any>} Occupancy
 */

/**
 * @typedef {object} Counted
 * @property {string} zone
 * @property {string} name
 * @property {string | null} category
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

/**
 * How counts are told that are not the true ones: in steps of so many, and nearer to the true one than the edge.
 * @typedef {{ step: number, edge: number, campus_edge: number }} Released
 */

/** Null where counts are true. @type {Released | null} */
export const RELEASED = JSON.parse(option("released") || "null");
let campus = "";

/**
 * Says which zone is the campus as a whole: its released counts are less exact.
 * @param {string} id
 */
export const setCampus = (id) => {
  campus = id;
};

/**
 * What the true count of a zone is under, where the one that is told is kept back.
 * @param {string} [zone]
 * @param {number} [kinds] of how many kinds it is the count: each may be so far off
 */
const under = (zone, kinds = 1) => {
  if (!RELEASED) return MIN_COUNT;
  return kinds * (zone !== undefined && zone === campus ? RELEASED.campus_edge : RELEASED.edge);
};

/** @param {number} count as it is said in a sentence */
export const said = (count) => (RELEASED ? `about ${count.toLocaleString("en")}` : count.toLocaleString("en"));

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
  if (zone.percentage !== null && (shown === "total" || isCapacityOf(zone, shown))) {
    return { value: zone.percentage, percent: true, text: percent(zone.percentage) };
  }
  if (shown === "total") return { value: atLeast(zone), percent: false, text: shortTotal(zone) };
  return { value: zone[shown], percent: false, text: short(zone[shown], zone.zone) };
}

/**
 * Whether the capacity of a zone, such as a car park, is counted in one kind alone, and in this one.
 * @param {Occupancy} zone
 * @param {string} id
 */
function isCapacityOf(zone, id) {
  const counted = KINDS.filter((kind) => kind.capacity_of.includes(zone.category ?? ""));
  return counted.length === 1 && counted[0].id === id;
}

/**
 * All whose count is given: of the others there are a few at the most.
 * @param {Occupancy} zone
 */
export const given = (zone) => KINDS.reduce((sum, kind) => sum + (zone[kind.id] ?? 0), 0);

/**
 * The total, or, where that is kept back, those whose count is given, if there are any.
 * @param {Occupancy} zone
 */
const atLeast = (zone) => zone.total ?? (given(zone) || null);

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
 * @param {string} [zone] whose count it is
 * @param {number} [kinds] of how many kinds
 */
export function short(count, zone, kinds) {
  if (count === null || count === undefined) return under(zone, kinds) > 0 ? `<${under(zone, kinds)}` : "–";
  return `${RELEASED ? "≈" : ""}${count.toLocaleString("en")}`;
}

/**
 * A total in a narrow place.
 * @param {Occupancy} zone
 */
export const shortTotal = (zone) => (zone.total === null && given(zone) ? `${short(given(zone))}+` : short(zone.total, zone.zone, KINDS.length));

/** @param {number | null} percentage */
export const percent = (percentage) => (percentage === null ? "" : `${RELEASED ? "≈" : ""}${Math.round(percentage)}%`);

/**
 * How many of a kind are in a zone, in words.
 * @param {Occupancy} zone
 * @param {import("./kinds.js").Kind} kind
 */
export function plural(zone, { id, one, many }) {
  const count = zone[id];
  const least = under(zone.zone);
  if (count === null) return least > 0 ? `fewer than ${least} ${many}` : `${many} not shown`;
  return `${said(count)} ${count === 1 && !RELEASED ? one : many}`;
}

/**
 * Between which numbers the true count lies of a kind whose released one is given, in words; empty for true counts.
 * @param {Occupancy} zone
 * @param {import("./kinds.js").Kind} kind
 */
function band(zone, { id }) {
  if (!RELEASED || zone[id] === null) return "";
  const edge = under(zone.zone);
  return ` (${Math.max(0, zone[id] - edge + 1).toLocaleString("en")} to ${(zone[id] + edge - 1).toLocaleString("en")})`;
}

/** @param {Occupancy} zone */
export function counts(zone) {
  const full = zone.percentage === null ? "" : `, ${percent(zone.percentage)} full`;
  return KINDS.map((kind) => plural(zone, kind) + band(zone, kind)).join(", ") + full;
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

// Popular times of one zone: how many are usually there, by weekday and hour, as a table that is coloured.

import { html } from "./dom.js";
import { short } from "./numbers.js";

const TICK_HOURS = 6;
const LEVELS = 5;

/**
 * @typedef {object} Hour one hour of a weekday
 * @property {number} hour 0 to 23, on the clock of the campus
 * @property {number | null} devices their median; null where it is kept back, or not known
 * @property {number} weeks how many weeks it rests on; 0 where nothing is known
 */

/** @typedef {{ weekday: string, hours: Hour[] }} Day the weekday in English, in small letters */

/** @param {string} weekday */
const named = (weekday) => weekday[0].toUpperCase() + weekday.slice(1);

/** @param {number} hour */
const oClock = (hour) => `${String(hour).padStart(2, "0")}:00`;

/**
 * @param {Hour} found
 * @param {number} most
 * @param {string} when
 */
function cell({ devices, weeks }, most, when) {
  if (weeks === 0) return html("td", { class: "unknown", title: `${when}: not recorded` });
  const level = Math.ceil(((devices ?? 0) / most) * LEVELS);
  return html("td", { "data-level": level, title: `${when}: ${short(devices)}` }, html("span", { class: "hidden" }, short(devices)));
}

/** @param {Hour} first of a column */
function heading({ hour }) {
  const shown = hour % TICK_HOURS === 0 ? [html("span", { "aria-hidden": "true" }, String(hour).padStart(2, "0"))] : [];
  return html("th", { scope: "col" }, html("span", { class: "hidden" }, oClock(hour)), ...shown);
}

/**
 * @param {{ popular_times: Day[] }} summary
 * @param {string} label
 */
export function weekChart({ popular_times: days }, label) {
  const known = days.flatMap(({ weekday, hours }) => hours.filter(({ weeks }) => weeks > 0).map((hour) => ({ weekday, ...hour })));
  const most = Math.max(1, ...known.map(({ devices }) => devices ?? 0));
  const rows = days.map(({ weekday, hours }) => {
    const day = named(weekday);
    const name = html("th", { scope: "row" }, html("abbr", { title: day }, day.slice(0, 3)));
    return html("tr", {}, name, ...hours.map((hour) => cell(hour, most, `${day} ${oClock(hour.hour)}`)));
  });
  const corner = html("th", { scope: "col" }, html("span", { class: "hidden" }, "Day"));
  return html(
    "figure",
    { class: "week" },
    html("figcaption", {}, html("b", {}, label), ` ${told(known)}`),
    html(
      "table",
      {},
      html("caption", { class: "hidden" }, `${label}: usual count by weekday and hour`),
      html("thead", {}, html("tr", {}, corner, ...(days[0]?.hours ?? []).map(heading))),
      html("tbody", {}, ...rows),
    ),
  );
}

/** @param {(Hour & { weekday: string })[]} known */
function told(known) {
  if (known.length === 0) return "nothing recorded yet";
  const busiest = known.reduce((best, hour) => ((hour.devices ?? 0) > (best.devices ?? 0) ? hour : best));
  if (!busiest.devices) return "usually none";
  const rests = `of ${busiest.weeks} ${busiest.weeks === 1 ? "week" : "weeks"}`;
  return `most on ${named(busiest.weekday)}s at ${oClock(busiest.hour)}: ${short(busiest.devices)} (${rests})`;
}

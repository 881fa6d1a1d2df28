// One zone: its counts now, its last 24 hours and the next, when it is usually full, and how long people stay.

import { dayChart } from "./day-chart.js";
import { byId, html, setText } from "./dom.js";
import { about, heading, KINDS } from "./kinds.js";
import { counts, RELEASED } from "./numbers.js";
import { getJson, reason } from "./read.js";
import { stayChart } from "./stay-chart.js";
import { weekChart } from "./week-chart.js";

const REFRESH_MS = 60_000;
/** Where the panel is beside the list; as in map.css. */
const WIDE = matchMedia("(min-width: 60rem)");

/** @param {() => void} onClose the button was used */
export function panel(onClose) {
  /** @type {string | null} */
  let shown = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  byId("panel-close").addEventListener("click", onClose);

  /** @param {string} zone */
  async function refresh(zone) {
    const place = `v1/zones/${encodeURIComponent(zone)}`;
    try {
      const [days, weeks, stays] = await Promise.all([
        Promise.all(KINDS.map((kind) => day(place, kind))),
        Promise.all(KINDS.map((kind) => week(`${place}/occupancy`, kind))),
        Promise.all(KINDS.map((kind) => stay(place, kind))),
      ]);
      if (zone !== shown) return;
      const pale = days.some((figure) => figure.querySelector(".tomorrow")?.getAttribute("d"));
      const today = html("div", {}, html("h3", {}, "Last 24 hours ", ...(pale ? [html("span", {}, "pale: expected in the next 24")] : [])), ...days);
      const usual = html("div", {}, html("h3", {}, "Popular times ", html("span", {}, "median, by the clock of the campus")), ...weeks);
      const known = stays.filter((figure) => figure !== null);
      const stayed = html("div", {}, html("h3", {}, "How long visits were ", html("span", {}, "last 24 hours")), ...known);
      byId("panel-charts").replaceChildren(today, usual, ...(known.length ? [stayed] : []));
      setText(byId("panel-note"), "");
    } catch (error) {
      if (zone === shown) setText(byId("panel-note"), `The history cannot be shown: ${reason(error)}`);
    }
  }

  return {
    /**
     * Shows a zone, and keeps its charts up to date until another is shown.
     * @param {string} id
     * @param {string} name
     * @param {import("./numbers.js").Occupancy | undefined} now
     */
    open(id, name, now) {
      if (id !== shown) {
        // Never one zone's day under another's name.
        byId("panel-charts").replaceChildren();
        setText(byId("panel-note"), "Reading …");
      }
      shown = id;
      setText(byId("panel-title"), name);
      setText(byId("panel-now"), now ? counts(now) : "");
      byId("panel").hidden = false;
      // So that the keyboard and a screen reader go on from here.
      byId("panel-title").focus({ preventScroll: true });
      byId("panel").scrollIntoView({ block: WIDE.matches ? "nearest" : "start" });
      clearInterval(timer);
      timer = setInterval(refresh, REFRESH_MS, id);
      refresh(id);
    },

    /** @param {import("./numbers.js").Occupancy} now of the zone that is shown */
    show(now) {
      setText(byId("panel-now"), counts(now));
    },

    hide() {
      shown = null;
      clearInterval(timer);
      byId("panel").hidden = true;
      byId("panel-charts").replaceChildren();
    },
  };
}

/**
 * What jobs have computed; the rest is worth showing without it.
 * @param {string} address
 * @returns {Promise<any>}
 */
async function computed(address) {
  try {
    return await getJson(address);
  } catch {
    return {};
  }
}

/**
 * @param {string} zone its address
 * @param {import("./kinds.js").Kind} kind
 */
async function day(zone, kind) {
  const [history, forecast] = await Promise.all([
    getJson(`${zone}/occupancy/history?window=5m&kind=${kind.id}`),
    computed(`${zone}/forecast?kind=${kind.id}`),
  ]);
  return about(dayChart(history, heading(kind), forecast.points), kind);
}

/**
 * @param {string} zone its address
 * @param {import("./kinds.js").Kind} kind
 */
async function stay(zone, kind) {
  // Visits are made of where single devices went, and are withheld.
  if (RELEASED) return null;
  const chart = stayChart(await computed(`${zone}/visits?kind=${kind.id}`), heading(kind));
  return chart && about(chart, kind);
}

/**
 * @param {string} address of the zone's occupancy
 * @param {import("./kinds.js").Kind} kind
 */
async function week(address, kind) {
  try {
    return about(weekChart(await getJson(`${address}/summary?kind=${kind.id}`), heading(kind)), kind);
  } catch (error) {
    // The day is worth showing without the week.
    const told = html("figcaption", {}, html("b", {}, heading(kind)), ` cannot be shown: ${reason(error)}`);
    return about(html("figure", { class: "week" }, told), kind);
  }
}

// One zone: its counts now, its last 24 hours, and when it is usually full.

import { dayChart } from "./day-chart.js";
import { byId, html, setText } from "./dom.js";
import { about, heading, KINDS } from "./kinds.js";
import { counts } from "./numbers.js";
import { getJson, reason } from "./read.js";
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
    const address = `v1/zones/${encodeURIComponent(zone)}/occupancy`;
    try {
      const [days, weeks] = await Promise.all([
        Promise.all(KINDS.map((kind) => day(address, kind))),
        Promise.all(KINDS.map((kind) => week(address, kind))),
      ]);
      if (zone !== shown) return;
      const today = html("div", {}, html("h3", {}, "Last 24 hours"), ...days);
      const usual = html("div", {}, html("h3", {}, "Popular times ", html("span", {}, "median, by the clock of the campus")), ...weeks);
      byId("panel-charts").replaceChildren(today, usual);
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
 * @param {string} address of the zone's occupancy
 * @param {import("./kinds.js").Kind} kind
 */
async function day(address, kind) {
  return about(dayChart(await getJson(`${address}/history?window=5m&kind=${kind.id}`), heading(kind)), kind);
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

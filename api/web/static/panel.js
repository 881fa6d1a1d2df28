// One zone: its counts now, its last 24 hours, and when it is usually full.

import { dayChart } from "./day-chart.js";
import { byId, html, setText } from "./dom.js";
import { counts } from "./numbers.js";
import { getJson, reason } from "./read.js";
import { weekChart } from "./week-chart.js";

const REFRESH_MS = 60_000;
/** Where the panel is beside the list; as in map.css. */
const WIDE = matchMedia("(min-width: 60rem)");
/** @type {["car" | "mobile", string][]} */
const KINDS = [["car", "Cars"], ["mobile", "Phones"]];

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
        Promise.all(KINDS.map(([kind, label]) => day(address, kind, label))),
        Promise.all(KINDS.map(([kind, label]) => week(address, kind, label))),
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
 * @param {"car" | "mobile"} kind
 * @param {string} label
 */
async function day(address, kind, label) {
  return dayChart(await getJson(`${address}/history?window=5m&kind=${kind}`), kind, label);
}

/**
 * @param {string} address of the zone's occupancy
 * @param {"car" | "mobile"} kind
 * @param {string} label
 */
async function week(address, kind, label) {
  try {
    return weekChart(await getJson(`${address}/summary?kind=${kind}`), kind, label);
  } catch (error) {
    // The day is worth showing without the week.
    return html("figure", { class: `week ${kind}` }, html("figcaption", {}, html("b", {}, label), ` cannot be shown: ${reason(error)}`));
  }
}

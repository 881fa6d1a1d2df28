// Flows: from where to where devices went in an hour, as arcs on the map.

import { byId, setText } from "./dom.js";
import { KINDS } from "./kinds.js";
import { hourAndMinute, RELEASED } from "./numbers.js";
import { getJson, reason } from "./read.js";

const HOUR_MS = 3_600_000;
const HOURS = 24;
const POINTS = 16;
/** How far an arc bends, as a share of how long it is: so that there and back are two. */
const BEND = 0.2;
const [THINNEST, THICKEST] = [1.5, 9];

/** @typedef {{ origin: string, destination: string, count: number }} Flow */
/** @typedef {[number, number]} Place latitude, longitude */
/** @typedef {{ points: Place[], width: number, text: string }} Arc */

/**
 * A curve from one place to another, bent to its left.
 * @param {Place} from
 * @param {Place} to
 * @returns {Place[]}
 */
export function curve(from, to) {
  // A degree of longitude is shorter than one of latitude.
  const shrink = Math.cos((from[0] * Math.PI) / 180);
  const [north, east] = [to[0] - from[0], (to[1] - from[1]) * shrink];
  const bend = [(from[0] + to[0]) / 2 + east * BEND, (from[1] + to[1]) / 2 - (north * BEND) / shrink];
  return Array.from({ length: POINTS }, (_, step) => {
    const part = step / (POINTS - 1);
    const [first, middle, last] = [(1 - part) ** 2, 2 * part * (1 - part), part ** 2];
    return /** @type {Place} */ ([0, 1].map((axis) => first * from[axis] + middle * bend[axis] + last * to[axis]));
  });
}

/**
 * Flows of several kinds as those of all of them, the greatest first.
 * @param {{ flows?: Flow[] }[]} answers
 * @returns {Flow[]}
 */
function together(answers) {
  /** @type {Map<string, Flow>} */
  const sums = new Map();
  for (const flow of answers.flatMap(({ flows = [] }) => flows)) {
    const pair = `${flow.origin} ${flow.destination}`;
    sums.set(pair, { ...flow, count: flow.count + (sums.get(pair)?.count ?? 0) });
  }
  return [...sums.values()].sort((a, b) => b.count - a.count);
}

/**
 * The control of the flows: whether they are shown, and of which hour.
 * @param {ReturnType<typeof import("./campus-map.js").campusMap>} map
 * @param {(id: string) => string} nameOf
 */
export function flowsOn(map, nameOf) {
  const on = /** @type {HTMLInputElement} */ (byId("flows-on"));
  const slider = /** @type {HTMLInputElement} */ (byId("flows-hour"));
  slider.max = String(HOURS - 1);
  // They are made of where single devices went, and are withheld.
  byId("flows").hidden = RELEASED !== null;
  let kinds = KINDS;
  /** Where the last hour ends of which flows are known, milliseconds. @type {number | null} */
  let until = null;
  /** What is asked for last is what is drawn, whatever is answered last. */
  let asked = 0;

  /** @param {number} start @param {number} end @returns {Promise<any[]>} an answer for each kind */
  const read = (start, end) => {
    const range = `start=${new Date(start).toISOString()}&end=${new Date(end).toISOString()}`;
    return Promise.all(kinds.map((kind) => getJson(`v1/flows?kind=${kind.id}&${range}`)));
  };

  /** @param {Arc[]} arcs @param {string} text */
  function show(arcs, text) {
    map.arcs(arcs);
    setText(byId("flows-told"), text);
  }

  /** @param {Flow[]} flows */
  function arcsOf(flows) {
    const most = Math.max(1, ...flows.map(({ count }) => count));
    return flows.flatMap(({ origin, destination, count }) => {
      const [from, to] = [map.centre(origin), map.centre(destination)];
      if (!from || !to) return [];
      const width = Math.max(THINNEST, Math.sqrt(count / most) * THICKEST);
      return [{ points: curve(from, to), width, text: `${nameOf(origin)} to ${nameOf(destination)}: ${count}` }];
    });
  }

  async function draw() {
    const turn = ++asked;
    slider.disabled = !on.checked;
    if (!on.checked) {
      show([], "");
      return;
    }
    try {
      if (until === null) {
        const now = Date.now();
        const ends = (await read(now - 2 * HOURS * HOUR_MS, now)).map(({ data_end: end }) => (end ? Date.parse(end) : 0));
        if (turn !== asked) return;
        until = Math.max(...ends) || null;
        slider.value = slider.max;
      }
      if (until === null) {
        show([], "No flows are known.");
        return;
      }
      const end = until - (HOURS - 1 - Number(slider.value)) * HOUR_MS;
      const answers = await read(end - HOUR_MS, end);
      if (turn !== asked) return;
      const flows = together(answers);
      const hour = `${hourAndMinute(end - HOUR_MS)} to ${hourAndMinute(end)}`;
      const [first] = flows;
      const greatest = first ? `, most from ${nameOf(first.origin)} to ${nameOf(first.destination)}: ${first.count}` : "";
      // Of what was not recorded, or not worked out, nobody knows whether there was any.
      const known = answers.some((answer) => answer.data_end);
      if (!known) show([], `${hour}: nothing is known`);
      else show(arcsOf(flows), `${hour}: ${flows.length || "no"} ${flows.length === 1 ? "flow" : "flows"} to show${greatest}`);
      slider.setAttribute("aria-valuetext", hour);
    } catch (error) {
      if (turn === asked) show([], `The flows cannot be shown: ${reason(error)}`);
    }
  }

  on.addEventListener("change", () => {
    until = null;
    draw();
  });
  slider.addEventListener("input", draw);

  return {
    /** @param {import("./numbers.js").Shown} shown what the map is about */
    choose(shown) {
      kinds = shown === "total" ? KINDS : KINDS.filter(({ id }) => id === shown);
      if (on.checked) draw();
    },

    /** The zones were drawn anew. */
    redraw() {
      if (on.checked) draw();
    },
  };
}

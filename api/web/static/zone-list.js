// The zones as a table, the fullest first: what the map says, for those who do not see it or would rather read.

import { html, setText } from "./dom.js";
import { heading, KINDS } from "./kinds.js";
import { given, level, measure, percent, plural, said, short, shortTotal } from "./numbers.js";

/** @typedef {import("./numbers.js").Occupancy} Occupancy */
/** @typedef {{ row: HTMLElement, button: HTMLElement, cells: HTMLElement[], boundary: boolean }} Row */

/** What changed is said aloud at most this often. */
const SPEAK_MS = 30_000;

/** A column: what stands over it, what is in it, and the kind that it is of, if it is of one. */
const COLUMNS = [
  ...KINDS.map((kind) => ({ name: heading(kind), kind: kind.id, text: (/** @type {Occupancy} */ zone) => short(zone[kind.id], zone.zone) })),
  // Of one kind alone the total says nothing new.
  ...(KINDS.length > 1 ? [{ name: "Total", kind: "", text: shortTotal }] : []),
  { name: "Full", kind: "", text: (/** @type {Occupancy} */ zone) => percent(zone.percentage) },
];

/**
 * A cell of a column.
 * @param {string} tag
 * @param {{ name: string, kind: string }} column
 */
const cellOf = (tag, { name, kind }) => html(tag, { class: kind ? "count-of-kind" : name.toLowerCase() });

/**
 * Marks the cell of the kind that the list is about: where there is no room for all, only that one is shown.
 * @param {HTMLElement[]} cells of a row, one for each column
 * @param {import("./numbers.js").Shown} shown
 */
function choose(cells, shown) {
  cells.forEach((cell, index) => cell.classList.toggle("chosen", COLUMNS[index].kind === shown));
}

/**
 * @param {HTMLElement} head of the table: the row that names the columns
 * @param {HTMLElement} body of the table
 * @param {HTMLElement} spoken where what changed is written, to be read aloud
 * @param {{ onPick: (id: string) => void, onPoint: (id: string | null) => void }} listener
 */
export function zoneList(head, body, spoken, { onPick, onPoint }) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  const headings = COLUMNS.map((column) => cellOf("th", column));
  headings.forEach((cell, index) => {
    cell.setAttribute("scope", "col");
    setText(cell, COLUMNS[index].name);
  });
  head.append(...headings);
  let spokenAt = performance.now();
  let spokenLast = "";
  let pointed = false;
  body.addEventListener("pointerenter", () => (pointed = true));
  body.addEventListener("pointerleave", () => (pointed = false));

  /** @param {any} feature */
  function add({ id, properties }) {
    const button = html("button", { type: "button", "aria-expanded": "false" }, properties.name);
    const cells = COLUMNS.map((column) => cellOf("td", column));
    const row = html("tr", { "data-zone": id }, html("th", { scope: "row" }, button), ...cells);
    row.addEventListener("click", () => onPick(id));
    row.addEventListener("pointerenter", () => onPoint(id));
    row.addEventListener("pointerleave", () => onPoint(null));
    row.addEventListener("focusin", () => onPoint(id));
    row.addEventListener("focusout", () => onPoint(null));
    rows.set(id, { row, button, cells, boundary: properties.role === "boundary" });
    return row;
  }

  /** @param {string} id */
  const isCampus = (id) => rows.get(id)?.boundary;

  /**
   * @param {Occupancy[]} zones
   * @param {import("./numbers.js").Shown} shown
   */
  function sort(zones, shown) {
    // The campus stays on top; sort() is stable and zones come in a fixed order, so equal counts do not jump about.
    /** @param {Occupancy} zone */
    const rank = (zone) => (isCampus(zone.zone) ? Infinity : (zone[shown] ?? given(zone)));
    const sorted = [...zones].sort((a, b) => rank(b) - rank(a)).flatMap((zone) => rows.get(zone.zone)?.row ?? []);
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    let place = body.firstElementChild;
    for (const row of sorted) {
      // The one that is here goes further down, where its turn comes: the others stay.
      if (row !== place && place && row === place.nextElementSibling) place = row;
      if (row === place) place = place.nextElementSibling;
      else body.insertBefore(row, place);
    }
    // A row that is moved loses the focus.
    if (focused !== document.activeElement && body.contains(focused)) focused?.focus({ preventScroll: true });
  }

  return {
    /** @param {any} collection the campus and its zones, as GeoJSON */
    draw({ features }) {
      rows.clear();
      body.replaceChildren(...features.map(add));
    },

    /**
     * @param {Occupancy[]} changed those whose rows say something else now
     * @param {Occupancy[]} zones all of them
     * @param {import("./numbers.js").Shown} shown
     */
    show(changed, zones, shown) {
      choose(headings, shown);
      for (const zone of changed) {
        const view = rows.get(zone.zone);
        if (!view) continue;
        COLUMNS.forEach(({ text }, index) => setText(view.cells[index], text(zone)));
        choose(view.cells, shown);
        view.row.classList.toggle("campus", view.boundary);
        view.row.classList.toggle("empty", zone.total === 0);
        view.row.dataset.level = level(measure(zone, shown));
      }
      // Nothing moves away from under a pointer.
      if (!pointed) sort(zones, shown);
    },

    /**
     * Says the whole in a sentence, now and then, and only if it changed.
     * @param {Occupancy[]} zones all of them
     */
    speak(zones) {
      const campus = zones.find((zone) => isCampus(zone.zone));
      if (!campus || performance.now() - spokenAt < SPEAK_MS) return;
      const [busiest] = zones.filter((zone) => !isCampus(zone.zone)).sort((a, b) => (b.total ?? 0) - (a.total ?? 0));
      const most = busiest?.total ? ` Most are at ${busiest.name}: ${said(busiest.total ?? 0)}.` : "";
      const counted = KINDS.map((kind) => plural(campus, kind));
      const sentence = `${new Intl.ListFormat("en-GB").format(counted)} on the campus.${most}`;
      if (sentence === spokenLast) return;
      spokenLast = sentence;
      spokenAt = performance.now();
      setText(spoken, sentence);
    },

    /**
     * @param {"pointed" | "selected"} mark
     * @param {string | null} id
     */
    mark(mark, id) {
      for (const [other, { row, button }] of rows) {
        row.classList.toggle(mark, other === id);
        if (mark === "selected") button.setAttribute("aria-expanded", String(other === id));
      }
    },

    /** @param {string} id */
    focus(id) {
      rows.get(id)?.button.focus();
    },
  };
}

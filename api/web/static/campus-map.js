// The campus as a map: its zones coloured by how many are there, each with its count.

import "./vendor/leaflet/leaflet.js";
import { html, option, setText } from "./dom.js";
import { counts, level, measure } from "./numbers.js";

const { L } = /** @type {any} */ (window);
/** So many metres around the campus can be looked at. */
const MARGIN_M = 400;
const MAX_ZOOM = 20;

/** @typedef {{ area: any, name: string, label: HTMLElement, told: HTMLElement, path: () => SVGElement }} Drawn */

/**
 * @param {HTMLElement} element
 * @param {(id: string) => void} onPick a zone was clicked
 */
export function campusMap(element, onPick) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(element, {
    zoomSnap: 0.25,
    maxZoom: MAX_ZOOM,
    maxBoundsViscosity: 1,
    attributionControl: false,
    zoomAnimation: !reduced,
    fadeAnimation: !reduced,
  });
  const tiles = option("tile-url");
  if (tiles) {
    // Makers of tiles want to know whose page they are on; its origin is enough.
    const tileOptions = { maxZoom: MAX_ZOOM, maxNativeZoom: 19, referrerPolicy: "strict-origin-when-cross-origin" };
    L.tileLayer(tiles, tileOptions).addTo(map);
    element.classList.add("with-tiles");
  }
  // Leaflet's own control takes HTML; this is text.
  const attributed = html("div", { class: "attribution" }, option("tile-attribution"));
  const attribution = L.control({ position: "bottomright" });
  attribution.onAdd = () => attributed;
  attribution.addTo(map);
  /** @type {Map<string, Drawn>} */
  const drawn = new Map();
  const layers = L.layerGroup().addTo(map);
  const flows = L.layerGroup().addTo(map);
  /** @type {any} */
  let bounds = null;
  /** Where the zone is that is selected. @type {any} */
  let centre = null;
  let fitting = false;
  let moved = false;

  function fit() {
    fitting = true;
    map.invalidateSize({ animate: false, pan: false });
    // Whoever has moved the map keeps what they look at, as far as the selected zone stays in sight.
    if (bounds && !moved) map.fitBounds(bounds, { padding: [8, 8], animate: false });
    else if (centre) map.panInside(centre, { padding: [60, 60], animate: false });
    fitting = false;
  }
  map.on("movestart zoomstart", () => (moved ||= !fitting));
  new ResizeObserver(fit).observe(element);

  /** @param {any} feature */
  function add(feature) {
    const { id, properties } = feature;
    const boundary = properties.role === "boundary";
    const className = boundary ? "boundary" : `zone ${properties.category === "car_park" ? "car-park" : ""}`;
    const area = L.geoJSON(feature, { style: { className }, interactive: !boundary }).addTo(layers);
    if (boundary) return;
    const label = html("span");
    const icon = L.divIcon({ html: label, className: "count", iconSize: null });
    L.marker(area.getBounds().getCenter(), { icon, interactive: false, keyboard: false }).addTo(layers);
    const told = html("span", {}, properties.name);
    area.bindTooltip(told, { sticky: true, direction: "top", opacity: 1 });
    area.on("click", () => onPick(id));
    drawn.set(id, { area, name: properties.name, label, told, path: () => area.getLayers()[0].getElement() });
  }

  return {
    /** @param {any} collection the campus and its zones, as GeoJSON */
    draw({ features, attribution: drawnFrom }) {
      setText(attributed, [option("tile-attribution"), drawnFrom].filter(Boolean).join(" · "));
      layers.clearLayers();
      drawn.clear();
      /** @param {any} feature */
      const size = (feature) => {
        const box = L.geoJSON(feature).getBounds();
        return (box.getEast() - box.getWest()) * (box.getNorth() - box.getSouth());
      };
      bounds = L.geoJSON(features).getBounds();
      fitting = true;
      map.setMaxBounds(bounds.getCenter().toBounds(2 * MARGIN_M + bounds.getNorthEast().distanceTo(bounds.getSouthWest())));
      fit();
      // Large zones first, so that what lies within another is on top of it.
      const sized = [...features].map((feature) => ({ feature, size: size(feature) }));
      sized.sort((a, b) => b.size - a.size).forEach(({ feature }) => add(feature));
    },

    /**
     * @param {import("./numbers.js").Occupancy} zone
     * @param {import("./numbers.js").Shown} shown
     */
    show(zone, shown) {
      const view = drawn.get(zone.zone);
      if (!view) return;
      const measured = measure(zone, shown);
      view.path().dataset.level = level(measured);
      view.label.dataset.level = level(measured);
      setText(view.label, measured.value === 0 ? "" : measured.text);
      setText(view.told, `${view.name}: ${counts(zone)}`);
    },

    /**
     * The middle of a zone; null where none of this id is drawn.
     * @param {string} id
     * @returns {[number, number] | null}
     */
    centre(id) {
      const found = drawn.get(id)?.area.getBounds().getCenter();
      return found ? [found.lat, found.lng] : null;
    },

    /**
     * Draws these arcs above the zones, in the place of those that were there.
     * @param {import("./flows.js").Arc[]} arcs
     */
    arcs(arcs) {
      flows.clearLayers();
      for (const { points, width, text } of arcs) {
        const line = L.polyline(points, { className: "flow", weight: width }).addTo(flows);
        line.bindTooltip(html("span", {}, text), { sticky: true, direction: "top", opacity: 1 });
      }
    },

    /**
     * Marks one zone, such as the one that is pointed at, or none.
     * @param {"pointed" | "selected"} mark
     * @param {string | null} id
     */
    mark(mark, id) {
      for (const [other, view] of drawn) view.path().classList.toggle(mark, other === id);
      if (mark === "selected") centre = drawn.get(id ?? "")?.area.getBounds().getCenter() ?? null;
    },
  };
}

// From degrees to the units of the drawing: equirectangular, which at the size of a campus is as good as any.

export const WIDTH = 1000;
const MARGIN = 15;

const polygons = ({ type, coordinates }) => (type === "Polygon" ? [coordinates] : coordinates);

function bounds(geometries) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [longitude, latitude] of geometries.flatMap(polygons).flat(2)) {
    box[0] = Math.min(box[0], longitude);
    box[1] = Math.min(box[1], latitude);
    box[2] = Math.max(box[2], longitude);
    box[3] = Math.max(box[3], latitude);
  }
  return box;
}

// How to draw these geometries WIDTH wide: the height that takes, and functions of a geometry.
export function projection(geometries) {
  const [west, south, east, north] = bounds(geometries);
  // A degree of longitude is shorter than one of latitude, by the cosine of the latitude.
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const scale = (WIDTH - 2 * MARGIN) / Math.max((east - west) * shrink, 1e-9);
  const x = (longitude) => MARGIN + (longitude - west) * shrink * scale;
  const y = (latitude) => MARGIN + (north - latitude) * scale;
  const ring = (positions) => `M${positions.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L")}Z`;
  const box = (geometry) => {
    const [left, bottom, right, top] = bounds([geometry]);
    return { x: (x(left) + x(right)) / 2, y: (y(bottom) + y(top)) / 2, width: x(right) - x(left), height: y(bottom) - y(top) };
  };
  return {
    height: 2 * MARGIN + (north - south) * scale,
    path: (geometry) => polygons(geometry).flat().map(ring).join(""),
    // Centre and size of what surrounds a geometry.
    box,
  };
}

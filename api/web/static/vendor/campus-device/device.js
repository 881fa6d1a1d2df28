// A device with a geofence of its own, as `device.py` beside it, which says why; `device_vectors.json` holds both to one
// behaviour. For Node.js and browsers, without dependencies: facts go in, each with the time in milliseconds since the
// epoch by the device's own clock, and commands come out, which whoever drives it carries out in their order.
//
// Outside the campus nothing is sent and nothing is kept, and where the campus is not known nothing is either.

/**
 * Where a device was, and when; what the receiver does not say is left out, or null.
 * @typedef {{ longitude: number, latitude: number, at_ms: number, altitude?: number | null, accuracy?: number | null,
 *   speed?: number | null, heading?: number | null }} Fix
 */
/** Longitude, latitude in degrees. @typedef {number[][][]} Rings */
/**
 * `connect` and `disconnect` are about MQTT, with a client id of the device's own and its persistent session; `publish` is
 * at QoS 1, once: what was lost the device repeats; `fetch` is `GET /v1/zones`; `wake` is to call `tick`, and replaces
 * the one before.
 * @typedef {{ does: "connect" } | { does: "disconnect" } | { does: "publish", packet: number, topic: string,
 *   payload: string } | { does: "fetch", etag: string | null } | { does: "wake", at_ms: number }} Command
 */

export const POLICY = Object.freeze({
  moving_seconds: 5,
  still_seconds: 60,
  still_metres: 15,
  unsent_max: 1000,
  unsent_age_seconds: 86_400,
  collection_max: 100,
  outline_seconds: 300,
  outline_retry_seconds: 30,
  linger_seconds: 300,
  backoff_seconds: 1,
  backoff_max_seconds: 60,
});
const PAYLOAD_JSON_MAX = 49_152;
const FEATURE_BYTES_MAX = 360;
const EARTH_METRES = 6_371_008.8;

export class Device {
  /** Positions on the campus that were given up: too many, or too old. */
  dropped = 0;
  /** Whether the last fix was on the campus; null before the first. @type {boolean | null} */
  inside = null;
  #device_id;
  #topic;
  #policy;
  #collection;
  /** @type {Rings | null} */
  #rings = null;
  /** @type {string | null} */
  #etag = null;
  #outline_at = 0;
  #outline_is_old = false;
  /** The oldest first. @type {Fix[]} */
  #unsent = [];
  /** @type {Fix[]} */
  #under_way = [];
  #packet = 0;
  /** @type {Fix | null} */
  #taken = null;
  #newest_acknowledged = -1;
  #inside_at = 0;
  /** @type {"away" | "connecting" | "connected"} */
  #link = "away";
  #retry_at = 0;
  #attempts = 0;
  /** @type {number | null} */
  #wake_at = null;

  /**
   * @param {string} device_id the plain one
   * @param {string} topic that of its kind
   * @param {Partial<typeof POLICY>} policy
   */
  constructor(device_id, topic, policy = {}) {
    this.#device_id = device_id;
    this.#topic = topic;
    this.#policy = { ...POLICY, ...policy };
    const longest = FEATURE_BYTES_MAX + encoded({ "": device_id }).length;
    this.#collection = Math.max(1, Math.min(this.#policy.collection_max, Math.floor(PAYLOAD_JSON_MAX / longest)));
  }

  /** Positions that nobody has acknowledged yet. */
  get unsent() {
    return this.#unsent.length + this.#under_way.length;
  }

  /**
   * The campus is this one now; null where nobody may know it, and then nothing is sent, and nothing kept.
   * @param {Rings | null} rings
   * @param {string | null} etag
   * @param {number} now_ms
   * @returns {Command[]}
   */
  outline(rings, etag, now_ms) {
    this.#rings = rings;
    this.#etag = etag;
    this.inside = null;
    this.#unsent = this.#unsent.filter((fix) => this.#is_inside(fix));
    if (rings !== null) this.#outline_at = now_ms + this.#policy.outline_seconds * 1000;
    return this.#commands(now_ms);
  }

  /**
   * The receiver has a position.
   * @param {Fix} fix
   * @param {number} now_ms
   */
  fix(fix, now_ms) {
    this.inside = this.#rings === null ? null : this.#is_inside(fix);
    if (this.inside) {
      this.#inside_at = now_ms;
      if (this.#is_worth_sending(fix)) {
        this.#taken = fix;
        const later = this.#unsent.findIndex((kept) => kept.at_ms > fix.at_ms);
        this.#unsent.splice(later < 0 ? this.#unsent.length : later, 0, fix);
      }
    }
    return this.#commands(now_ms);
  }

  /** There is a connection, and the server has let the device in. @param {number} now_ms */
  connected(now_ms) {
    this.#link = "connected";
    if (this.#outline_is_old) {
      this.#outline_is_old = false;
      this.#outline_at = now_ms;
    }
    return this.#commands(now_ms);
  }

  /**
   * The connection broke, or came to nothing.
   * @param {number} now_ms
   * @param {number} chance 0 to 1: makes devices come back one after another
   */
  lost(now_ms, chance) {
    if (this.#link !== "away") {
      this.#link = "away";
      this.#outline_is_old = true;
      const { backoff_seconds, backoff_max_seconds } = this.#policy;
      const wait = Math.min(backoff_max_seconds, backoff_seconds * 2 ** Math.min(this.#attempts, 16));
      this.#retry_at = now_ms + Math.ceil(wait * (0.5 + chance / 2) * 1000);
      this.#attempts += 1;
      const again = this.#under_way.filter((fix) => this.#is_inside(fix));
      this.#unsent = [...again, ...this.#unsent].sort((one, other) => one.at_ms - other.at_ms);
      this.#under_way = [];
    }
    return this.#commands(now_ms);
  }

  /**
   * The PUBACK of a `publish` has come.
   * @param {number} packet
   * @param {number} now_ms
   */
  acknowledged(packet, now_ms) {
    if (this.#under_way.length > 0 && packet === this.#packet) {
      this.#newest_acknowledged = Math.max(this.#newest_acknowledged, this.#under_way[this.#under_way.length - 1].at_ms);
      this.#under_way = [];
      this.#attempts = 0;
    }
    return this.#commands(now_ms);
  }

  /** It is time: what the last `wake` has asked for, and the way to begin. @param {number} now_ms */
  tick(now_ms) {
    return this.#commands(now_ms);
  }

  /** @param {number} now_ms */
  #commands(now_ms) {
    const policy = this.#policy;
    /** @type {Command[]} */
    const commands = [];
    // A clock that is put back must not make anybody wait for longer than usual.
    this.#outline_at = Math.min(this.#outline_at, now_ms + policy.outline_seconds * 1000);
    this.#retry_at = Math.min(this.#retry_at, now_ms + policy.backoff_max_seconds * 1000);
    this.#inside_at = Math.min(this.#inside_at, now_ms);
    this.#give_up(now_ms);
    if (now_ms >= this.#outline_at) {
      const seconds = this.#rings === null ? policy.outline_retry_seconds : policy.outline_seconds;
      this.#outline_at = now_ms + seconds * 1000;
      commands.push({ does: "fetch", etag: this.#etag });
    }
    if (this.#link === "away" && this.#unsent.length > 0 && now_ms >= this.#retry_at) {
      this.#link = "connecting";
      commands.push({ does: "connect" });
    }
    const leave_at = this.#inside_at + policy.linger_seconds * 1000;
    if (this.#link === "connected" && this.#under_way.length === 0) {
      if (this.#unsent.length > 0) commands.push(this.#publish());
      else if (now_ms >= leave_at) {
        this.#link = "away";
        commands.push({ does: "disconnect" });
      }
    }
    const due = [this.#outline_at];
    if (this.#link === "away" && this.#unsent.length > 0) due.push(this.#retry_at);
    if (this.#link === "connected" && this.#under_way.length === 0) due.push(leave_at);
    const wake_at = Math.min(...due);
    if (wake_at !== this.#wake_at) {
      this.#wake_at = wake_at;
      commands.push({ does: "wake", at_ms: wake_at });
    }
    return commands;
  }

  /** @param {number} now_ms */
  #give_up(now_ms) {
    const oldest = now_ms - this.#policy.unsent_age_seconds * 1000;
    while (this.#unsent.length > 0 && (this.#unsent[0].at_ms < oldest || this.unsent > this.#policy.unsent_max)) {
      this.#unsent.shift();
      this.dropped += 1;
    }
  }

  /** The newest goes first, alone; then what waited, the oldest first. @returns {Command} */
  #publish() {
    this.#packet += 1;
    const newest = this.#unsent[this.#unsent.length - 1];
    this.#under_way =
      newest.at_ms > this.#newest_acknowledged ? this.#unsent.splice(-1) : this.#unsent.splice(0, this.#collection);
    const features = this.#under_way.map((fix) => feature(fix, this.#device_id));
    const message = features.length === 1 ? features[0] : { type: "FeatureCollection", features };
    return { does: "publish", packet: this.#packet, topic: this.#topic, payload: encoded(message) };
  }

  /** @param {Fix} fix */
  #is_inside(fix) {
    return this.#rings !== null && is_inside(this.#rings, fix.longitude, fix.latitude);
  }

  /** @param {Fix} fix */
  #is_worth_sending(fix) {
    const last = this.#taken;
    if (last === null) return true;
    const metres = metres_between(last.longitude, last.latitude, fix.longitude, fix.latitude);
    const still = metres <= Math.max(this.#policy.still_metres, fix.accuracy || 0);
    const seconds = still ? this.#policy.still_seconds : this.#policy.moving_seconds;
    // Either way: a clock may have been put back.
    return Math.abs(fix.at_ms - last.at_ms) >= seconds * 1000;
  }
}

/**
 * The rings of the campus in what `GET /v1/zones` answers; null where it has none.
 * @param {any} zones
 * @returns {Rings | null}
 */
export function outline_of(zones) {
  const campus = zones.features.find((/** @type {any} */ zone) => zone.properties.role === "boundary");
  if (!campus) return null;
  const { type, coordinates } = campus.geometry;
  return (type === "Polygon" ? [coordinates] : coordinates).flat();
}

/**
 * Whether a place is inside: a ray to the east crosses an odd number of edges. Of places on an edge some are.
 * @param {Rings} rings
 * @param {number} x
 * @param {number} y
 */
export function is_inside(rings, x, y) {
  let inside = false;
  for (const ring of rings) {
    let [x1, y1] = ring[ring.length - 1];
    for (const [x2, y2] of ring) {
      if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
      [x1, y1] = [x2, y2];
    }
  }
  return inside;
}

/**
 * Metres between two places of degrees, right to a thousandth for the size of a campus.
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
export function metres_between(x1, y1, x2, y2) {
  const radians = Math.PI / 180;
  const north = (y2 - y1) * radians;
  const east = (x2 - x1) * radians * Math.cos(y1 * radians);
  return EARTH_METRES * Math.sqrt(north * north + east * east);
}

/**
 * A fix as a Feature of GeoJSON: what the receiver did not say is left out.
 * @param {Fix} fix
 * @param {string} device_id
 */
function feature(fix, device_id) {
  const coordinates = [fix.longitude, fix.latitude];
  if (Number.isFinite(fix.altitude)) coordinates.push(/** @type {number} */ (fix.altitude));
  /** @type {Record<string, string | number>} */
  const properties = { device_id, timestamp: new Date(fix.at_ms).toISOString().replace(".000Z", "Z") };
  for (const name of /** @type {const} */ (["accuracy", "speed", "heading"])) {
    // Browsers say NaN for the heading of what stands still.
    if (Number.isFinite(fix[name])) properties[name] = /** @type {number} */ (fix[name]);
  }
  return { type: "Feature", geometry: { type: "Point", coordinates }, properties };
}

/** Standard base64 of JSON in UTF-8. @param {unknown} document */
function encoded(document) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(JSON.stringify(document))) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

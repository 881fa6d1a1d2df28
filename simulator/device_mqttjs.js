// A device of `device.js`, driven with MQTT.js, in Node.js and in browsers: carries out its commands, and tells it what comes.

import { outline_of } from "./device.js";

const ANSWER_MS = 10_000;
/** Answers to a CONNECT that say that the user is none: they are in CONNACK, and in the errors of MQTT.js. */
const REFUSED_USER = new Set([4, 5]);

/**
 * @typedef {object} Options
 * @property {{ connect: (url: string, options: object) => any }} mqtt MQTT.js; no code here imports it
 * @property {string} broker `mqtt:`, `mqtts:`, `ws:` or `wss:`
 * @property {string} zones the address of `GET /v1/zones`
 * @property {string} client_id
 * @property {boolean} [clean] true for a device that nobody knows again: its session ends with its connection
 * @property {string} [username]
 * @property {string} [password]
 * @property {(state: State) => void} [on_state] also told when a message was acknowledged
 * @property {(message: any) => void} [on_message] a message that has just been sent, as GeoJSON
 */
/**
 * Whether the campus is known: not asked yet, known, nobody may know it, or nobody answers; and how it is with MQTT: nothing
 * to send, on the way, connected, nobody there, or the user is refused.
 * @typedef {{ outline: "unknown" | "known" | "refused" | "missing", link: "idle" | "connecting" | "connected" | "away" | "refused" }} State
 */

/**
 * Drives a device from now on.
 * @param {import("./device.js").Device} device
 * @param {Options} options
 */
export function drive(device, options) {
  const { mqtt, broker, zones, client_id, clean = false, username, password } = options;
  const { on_state = () => {}, on_message = () => {} } = options;
  /** @type {State} */
  let state = { outline: "unknown", link: "idle" };
  /** The connection that counts; what others say is of the past. @type {any} */
  let client = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let stopped = false;

  /** @param {Partial<State>} changes */
  function note(changes) {
    state = { ...state, ...changes };
    on_state(state);
  }

  /** @param {import("./device.js").Command[]} commands */
  function carry_out(commands) {
    if (stopped) return;
    for (const command of commands) {
      if (command.does === "connect") connect();
      else if (command.does === "disconnect") disconnect();
      else if (command.does === "publish") publish(command);
      else if (command.does === "fetch") fetch_outline(command.etag);
      else wake(command.at_ms);
    }
  }

  function connect() {
    // A new client each time: it keeps nothing of the one before that it would send by itself.
    const mine = mqtt.connect(broker, {
      clientId: client_id,
      clean,
      username,
      password,
      reconnectPeriod: 0,
      connectTimeout: ANSWER_MS,
      keepalive: 60,
      // Its other timers are a worker made of a blob, which our pages refuse (worker-src).
      timerVariant: "native",
    });
    client = mine;
    if (state.link === "idle") note({ link: "connecting" });
    mine.on("connect", () => {
      if (client !== mine) return;
      note({ link: "connected" });
      carry_out(device.connected(Date.now()));
    });
    mine.on("error", (/** @type {any} */ error) => {
      if (client === mine) lose(REFUSED_USER.has(error.code) ? "refused" : "away");
    });
    mine.on("close", () => {
      if (client === mine) lose("away");
    });
  }

  /** @param {"away" | "refused"} link */
  function lose(link) {
    const mine = client;
    client = null;
    mine.end(true);
    carry_out(device.lost(Date.now(), Math.random()));
    // Last, as whoever hears it may stop.
    note({ link });
  }

  function disconnect() {
    const mine = client;
    client = null;
    mine.end();
    note({ link: "idle" });
  }

  /** @param {{ packet: number, topic: string, payload: string }} command */
  function publish({ packet, topic, payload }) {
    const mine = client;
    mine.publish(topic, payload, { qos: 1 }, (/** @type {any} */ error) => {
      if (error || client !== mine) return;
      carry_out(device.acknowledged(packet, Date.now()));
      note({});
    });
    on_message(JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (byte) => byte.charCodeAt(0)))));
  }

  /** @param {string | null} etag */
  async function fetch_outline(etag) {
    try {
      const headers = etag === null ? undefined : { "If-None-Match": etag };
      const answer = await fetch(zones, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      if (stopped) return;
      if (answer.status === 401 || answer.status === 403) {
        carry_out(device.outline(null, null, Date.now()));
        note({ outline: "refused" });
      } else if (answer.ok) {
        const rings = outline_of(await answer.json());
        if (stopped) return;
        carry_out(device.outline(rings, rings && answer.headers.get("ETag"), Date.now()));
        note({ outline: rings === null ? "missing" : "known" });
      } else if (answer.status !== 304) throw new Error(`${zones} answered ${answer.status}`);
    } catch {
      // The last one holds.
      if (!stopped && state.outline !== "known") note({ outline: "missing" });
    }
  }

  /** @param {number} at_ms */
  function wake(at_ms) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const now_ms = Date.now();
      // Timers may be early by this clock: the time holds unless the device says another.
      if (now_ms < at_ms) wake(at_ms);
      carry_out(device.tick(now_ms));
    }, Math.max(0, at_ms - Date.now()));
  }

  carry_out(device.tick(Date.now()));
  return {
    /** The receiver has a position. @param {import("./device.js").Fix} fix */
    fix(fix) {
      carry_out(device.fix(fix, Date.now()));
    },

    /** From now on nothing is sent any more; what is unsent is forgotten. */
    stop() {
      stopped = true;
      clearTimeout(timer);
      client?.end(true);
      client = null;
    },
  };
}

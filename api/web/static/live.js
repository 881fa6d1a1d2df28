// Counts as they change: from the stream of events, or, where that is interrupted, by asking again and again.

import { getJson, reason } from "./read.js";

/** Between two questions while the stream is away; and while it flows, when they only show that all is well. */
const ASK_MS = 2000;
const CHECK_MS = 15_000;
/** How long an interruption may last before people are told: a browser connects again by itself, mostly at once. */
const PATIENCE_MS = 2500;
/** A browser gives up on a stream that was refused; we try again. */
const REOPEN_MS = 10_000;
/** The server's clock stands still for longer than this: the counts are old. */
const STALE_MS = 25_000;

/**
 * @typedef {object} Listener
 * @property {(collection: any) => void} onZones the campus, as GeoJSON; again when it changed
 * @property {(zones: import("./numbers.js").Occupancy[]) => void} onCounts some zones' counts, or all
 * @property {(status: import("./notice.js").Status) => void} onStatus
 */

/**
 * Follows the campus until the page is left.
 * @param {Listener} listener
 */
export function follow({ onZones, onCounts, onStatus }) {
  /** @type {EventSource | null} */
  let source = null;
  let streaming = false;
  /** @type {string | null} */
  let failure = null;
  let hasZones = false;
  /** Whether the server has said that it cannot read the counts at present. */
  let old = false;
  let lag = 0;
  /** Why the counts cannot be those of now, in the server's words. */
  let doubt = /** @type {string | null} */ (null);
  /** last_updated, and when it was first seen here, by this browser's own clock. */
  let newest = { at: /** @type {string | null} */ (null), seen: 0, ttl: 1 };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let telling;

  function tell() {
    const stale = old || (newest.at !== null && performance.now() - newest.seen > Math.max(STALE_MS, 5000 * newest.ttl));
    onStatus({ link: streaming ? "streaming" : "asking", failure, stale, doubt, at: newest.at, lag });
  }

  /** Once for many events that come together. */
  function tellSoon() {
    telling ??= setTimeout(() => {
      telling = undefined;
      tell();
    });
  }

  /** @param {{ last_updated: string, ttl: number, lag_seconds?: number | null, stale?: string | null }} body */
  function note({ last_updated: at, ttl, lag_seconds: behind, stale }) {
    if (newest.at === null || Date.parse(at) > Date.parse(newest.at)) newest = { at, seen: performance.now(), ttl };
    if (behind !== undefined) lag = behind ?? 0;
    doubt = stale ?? null;
  }

  /** @param {any} body of every zone */
  function takeAll(body) {
    note(body);
    onCounts(body.zones);
  }

  async function readZones() {
    onZones(await getJson("v1/zones"));
    hasZones = true;
  }

  async function ask() {
    clearTimeout(timer);
    try {
      const [body] = await Promise.all([getJson("v1/occupancy"), hasZones ? undefined : readZones()]);
      takeAll(body);
      failure = null;
    } catch (error) {
      failure = reason(error);
    }
    tell();
    clearTimeout(timer);
    timer = setTimeout(ask, streaming && failure === null ? CHECK_MS : ASK_MS);
  }

  /** @param {number} after milliseconds */
  function askSoon(after) {
    clearTimeout(timer);
    timer = setTimeout(ask, after);
  }

  function open() {
    source = new EventSource("v1/events");
    source.addEventListener("open", () => {
      streaming = true;
      old = false;
      // What failed before is asked again, now.
      askSoon(failure === null ? CHECK_MS : 0);
      tell();
    });
    source.addEventListener("snapshot", (event) => {
      takeAll(JSON.parse(event.data));
      tell();
    });
    source.addEventListener("occupancy", (event) => {
      const zone = JSON.parse(event.data);
      note(zone);
      onCounts([zone]);
      tellSoon();
    });
    for (const state of ["stale", "fresh"]) {
      source.addEventListener(state, () => {
        old = state === "stale";
        tell();
      });
    }
    source.addEventListener("zones", () => {
      hasZones = false;
      askSoon(0);
    });
    source.addEventListener("error", () => {
      const interrupted = streaming;
      streaming = false;
      // Nobody says any more when they are fresh again; what is asked for will.
      old = false;
      if (source?.readyState === EventSource.CLOSED) setTimeout(open, REOPEN_MS * (1 + Math.random()));
      if (interrupted) askSoon(PATIENCE_MS);
    });
  }

  document.addEventListener("visibilitychange", () => {
    // A page that was out of sight may have slept.
    if (document.visibilityState === "visible") askSoon(0);
  });
  ask();
  open();
}

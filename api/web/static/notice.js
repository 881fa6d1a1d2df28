// Says how good what is on the screen is: live, asked for, old, behind, or nothing at all.

import { byId, setText } from "./dom.js";
import { clock, duration } from "./numbers.js";

/** The decoder is always a moment behind; longer than this, people are told, seconds. */
const LAG_S = 15;

/**
 * @typedef {object} Status
 * @property {"streaming" | "asking"} link how counts come: by the stream, or by asking again and again
 * @property {string | null} failure why the last attempt failed, if it did
 * @property {boolean} stale whether the server answers, but with the same old counts
 * @property {string | null} doubt why the counts cannot be those of now, in the server's words
 * @property {string | null} at when the counts were read, RFC 3339; null before the first ones
 * @property {number} lag how far the decoder is behind, seconds
 */

/**
 * The sentence changes only when the state does: it is read aloud.
 * @param {Status} status
 * @returns {[string, string]} the state and its sentence
 */
function judge({ link, failure, stale, doubt, at, lag }) {
  if (failure !== null) {
    const since = at === null ? "No counts yet" : `No new counts since ${clock(at)}`;
    return ["failed", `${since}: ${failure} Trying again.`];
  }
  if (at === null) return ["starting", "Connecting …"];
  if (doubt !== null) return ["stale", doubt];
  if (stale) return ["stale", `The counts are old: they are those of ${clock(at)}.`];
  if (lag > LAG_S) return ["behind", `Counting is ${duration(lag)} behind: the counts may be too low.`];
  if (link === "asking") return ["asking", "The live stream is interrupted. The counts are asked for every few seconds."];
  return ["live", "Live"];
}

/** @param {Status} status */
export function showStatus(status) {
  const [state, sentence] = judge(status);
  byId("notice").dataset.state = state;
  setText(byId("notice"), sentence);
  document.body.classList.toggle("old", state === "failed" || state === "stale");
  setText(byId("updated"), status.at === null ? "" : `Counted at ${clock(status.at)}.`);
}

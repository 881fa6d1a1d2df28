// What runs, who gets which version, canaries and faults: asked for each second, with a key that stays in this page.

import { AppCard } from "./app-card.js";
import { byId, html, setText } from "./dom.js";
import { FaultForm } from "./fault-form.js";

/** @typedef {import("./app-card.js").App} App */
/** @typedef {import("./fault-form.js").Faults} Faults */

const EVERY_MS = 1000;
const PATIENCE_MS = 10_000;

/** Kept here alone: no storage, no cookie, no address. @type {string | null} */
let key = null;
/** @type {Map<string, AppCard>} */
const cards = new Map();

/**
 * @param {"off" | "waiting" | "sending" | "trouble"} how
 * @param {string} sentence
 */
function say(how, sentence) {
  byId("status").dataset.state = how;
  setText(byId("status"), sentence);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {Record<string, string>} [headers]
 */
async function ask(method, path, body, headers = {}) {
  return fetch(path, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
    body: body && JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
}

/** What an answer that is none of success says. @param {Response} answer */
async function complaint(answer) {
  const problem = await answer.json().catch(() => ({}));
  if (problem.errors) return problem.errors.map((/** @type {{ detail: string }} */ { detail }) => detail).join("; ");
  return String(problem.detail ?? `The server answered ${answer.status}.`);
}

/**
 * What somebody has asked for; what was said of it stays until the next.
 * @type {import("./app-card.js").Send}
 */
async function send(method, path, body, headers) {
  try {
    const answer = await ask(method, path, body, headers);
    if (!answer.ok) say("trouble", await complaint(answer));
    else say("sending", "Done.");
    await look();
    return answer.ok;
  } catch {
    say("trouble", "The server does not answer: whether it was done is not known.");
    return false;
  }
}

/** @param {{ apps: App[], seen_at: string | null }} answer */
function showApps({ apps, seen_at }) {
  setText(byId("seen"), seen_at === null ? "What runs is not known: the controller has not said so of late." : apps.length === 0 ? "Nothing runs." : "");
  const elements = apps.map((app) => {
    let card = cards.get(app.app);
    if (card === undefined || !card.fits(app)) {
      card = new AppCard(app, send);
      cards.set(app.app, card);
    } else card.show(app);
    return card.element;
  });
  const shown = [...byId("apps").children];
  // Put in again only where it is another: else whoever holds a slider loses it.
  if (shown.length !== elements.length || shown.some((element, place) => element !== elements[place])) byId("apps").replaceChildren(...elements);
}

const form = new FaultForm(send);

/** @param {Faults} answer */
function showFaults({ allowed, faults }) {
  setText(byId("faults-state"), faults.length > 0 ? `${faults.length} on` : allowed ? "None is on." : "None is on, and none can be made here (FAULTS).");
  const lines = faults.map(({ between, kind, share, seconds_left }) => `${between}: ${kind}${share < 1 ? ` of ${Math.round(share * 1000) / 10} %` : ""}, ${seconds_left} s left`);
  while (byId("faults").children.length > lines.length) byId("faults").lastElementChild?.remove();
  lines.forEach((line, place) => {
    const item = byId("faults").children[place] ?? byId("faults").appendChild(html("li"));
    setText(item, line);
  });
  byId("end-faults").hidden = faults.length === 0;
}

let failed = false;

async function look() {
  const asked = key;
  const [apps, faults] = await Promise.all([ask("GET", "v1/apps"), ask("GET", "v1/faults")]);
  if (asked !== key) return;
  const wrong = [apps, faults].find((answer) => !answer.ok);
  if (wrong?.status === 401 || wrong?.status === 403) {
    forget("trouble", await complaint(wrong));
    return;
  }
  if (wrong) throw new Error(await complaint(wrong));
  const [seen, on] = await Promise.all([apps.json(), faults.json()]);
  showApps(seen);
  showFaults(on);
  form.show(on, faults.headers.get("ETag") ?? "*", seen.apps);
  byId("apps-section").hidden = byId("faults-section").hidden = false;
}

async function follow() {
  const mine = key;
  while (key !== null && key === mine) {
    if (!document.hidden) {
      try {
        await look();
        if (failed || byId("status").dataset.state === "waiting") say("sending", "What is shown is of this moment.");
        failed = false;
      } catch (error) {
        failed = true;
        say("trouble", `What is shown is old. ${error instanceof Error && error.name === "Error" ? error.message : "The server does not answer."} Trying again.`);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** @param {"off" | "trouble"} how @param {string} sentence */
function forget(how, sentence) {
  key = null;
  cards.clear();
  byId("apps").replaceChildren();
  byId("faults").replaceChildren();
  form.hide();
  byId("apps-section").hidden = byId("faults-section").hidden = byId("forget").hidden = true;
  byId("key-form").hidden = false;
  say(how, sentence);
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId("key"));
  key = input.value.trim();
  input.value = "";
  byId("key-form").hidden = true;
  byId("forget").hidden = false;
  say("waiting", "Asking …");
  void follow();
});
byId("forget").addEventListener("click", () => forget("off", "The key is forgotten."));
byId("end-faults").addEventListener("click", () => void send("DELETE", "v1/faults"));

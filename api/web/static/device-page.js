// A browser as a device: it asks first, shows what it sends, and stops when it is told to, or closed.

import { byId, html, setText } from "./dom.js";
import { KINDS } from "./kinds.js";
import { Device } from "./vendor/campus-device/device.js";
import { drive } from "./vendor/campus-device/device_mqttjs.js";
import mqtt from "./vendor/mqtt/mqtt.esm.js";

/** So many messages are shown. */
const SHOWN = 10;
/** A receiver that says nothing for so long is asked: one that lies still may be silent. */
const SILENCE_MS = 30_000;
const RECEIVER = { enableHighAccuracy: true, maximumAge: 0, timeout: 60_000 };
/** The code of a refusal in GeolocationPositionError. */
const PERMISSION_DENIED = 1;

const start = /** @type {HTMLButtonElement} */ (byId("start"));
/** @type {{ device: Device, driver: ReturnType<typeof drive>, watch: number, poll: ReturnType<typeof setInterval> } | null} */
let running = null;
/** @type {import("./vendor/campus-device/device_mqttjs.js").State} */
let state = { outline: "unknown", link: "idle" };
let heard = 0;
let messages = 0;
/** What the browser says of its receiver, if that is what is in the way. @type {string | null} */
let receiver = null;

// The API's own kinds, with the topic of each; whoever opens this page is most often a person with a phone.
const first = KINDS.find((kind) => kind.person) ?? KINDS[0];
for (const kind of KINDS) {
  const radio = html("input", { type: "radio", name: "kind", value: kind.id, ...(kind === first ? { checked: "" } : {}) });
  byId("kinds").append(html("label", {}, radio, ` ${kind.one}`));
}

/**
 * @param {"off" | "waiting" | "sending" | "trouble"} how
 * @param {string} sentence
 */
function say(how, sentence) {
  byId("status").dataset.state = how;
  setText(byId("status"), sentence);
}

function tell() {
  if (running === null) return;
  const { outline, link } = state;
  if (outline === "refused") say("trouble", "This server does not tell where the campus is, so nothing is sent.");
  else if (outline === "missing") say("trouble", "The outline of the campus cannot be read, so nothing is sent. Trying again.");
  else if (receiver !== null) say("trouble", receiver);
  else if (outline === "unknown") say("waiting", "Reading the outline of the campus …");
  else if (running.device.inside === null) say("waiting", "Waiting for your place …");
  else if (!running.device.inside) say("waiting", "You are not on the campus: nothing is sent.");
  else if (link === "away") say("trouble", "The server cannot be reached by MQTT over WebSocket. Trying again.");
  else if (link !== "connected") say("waiting", "Connecting …");
  else say("sending", "You are on the campus, and your place is sent.");
  const { unsent, dropped } = running.device;
  const said = [`Messages sent: ${messages}`, `positions not acknowledged yet: ${unsent}`, `given up: ${dropped}`];
  setText(byId("counts"), `${said.join(", ")}.`);
}

/** @param {GeolocationPosition} position */
function take({ coords, timestamp }) {
  if (running === null) return;
  heard = Date.now();
  receiver = null;
  const { longitude, latitude, altitude, accuracy, speed, heading } = coords;
  // Some browsers' clocks of the receiver are ahead of their own.
  const at_ms = Math.min(Math.round(timestamp), Date.now());
  running.driver.fix({ longitude, latitude, at_ms, altitude, accuracy, speed, heading });
  tell();
}

/** @param {GeolocationPositionError} error */
function fail(error) {
  if (running === null) return;
  if (error.code === PERMISSION_DENIED) stop("trouble", "Your browser may not tell this page where you are. Nothing is sent.");
  else {
    receiver = "Your browser does not know where you are. Waiting.";
    tell();
  }
}

/** @param {import("./vendor/campus-device/device_mqttjs.js").State} now */
function follow(now) {
  state = now;
  if (now.link === "refused") {
    const given = byId("user").hidden ? "" : "This user or password is none that the server knows. ";
    byId("user").hidden = false;
    const sent = messages > 0 ? "Nothing is sent any more." : "Nothing was sent.";
    stop("trouble", `${given}The server wants a user and a password: give them, and start again. ${sent}`);
    byId("username").focus();
    return;
  }
  // A receiver that lies still has said where it is before the campus was known, and may not say it again.
  if (now.outline === "known" && running?.device.inside === null) ask(SILENCE_MS);
  tell();
}

/** @param {number} maximumAge how old the answer may be, milliseconds */
function ask(maximumAge) {
  navigator.geolocation.getCurrentPosition(take, fail, { ...RECEIVER, maximumAge });
}

/** @param {any} message */
function show(message) {
  messages += 1;
  byId("sent").prepend(html("li", {}, html("code", {}, JSON.stringify(message))));
  while (byId("sent").children.length > SHOWN) byId("sent").lastElementChild?.remove();
}

/** @param {string} id */
const text = (id) => /** @type {HTMLInputElement} */ (byId(id)).value;

function begin() {
  const chosen = /** @type {HTMLInputElement} */ (document.querySelector("#kinds input:checked")).value;
  const { topic } = /** @type {any} */ (KINDS.find((kind) => kind.id === chosen));
  const broker = new URL("mqtt", location.href);
  broker.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const user = text("username");
  // Who logs in as a device speaks for itself alone; else nobody can tell two starts as those of one phone.
  const id = crypto.randomUUID();
  const device = new Device(user || id, topic);
  state = { outline: "unknown", link: "idle" };
  receiver = null;
  messages = 0;
  byId("sent").replaceChildren();
  const driver = drive(device, {
    mqtt,
    broker: broker.href,
    zones: new URL("v1/zones", location.href).href,
    client_id: id,
    clean: true,
    username: user || undefined,
    password: text("password") || undefined,
    on_state: follow,
    on_message: show,
  });
  heard = Date.now();
  running = {
    device,
    driver,
    watch: navigator.geolocation.watchPosition(take, fail, RECEIVER),
    poll: setInterval(() => {
      if (Date.now() - heard >= SILENCE_MS) ask(0);
      tell();
    }, SILENCE_MS),
  };
  started(true);
  tell();
}

/**
 * @param {"off" | "trouble"} how
 * @param {string} sentence
 */
function stop(how, sentence) {
  if (running === null) return;
  const { driver, watch, poll } = running;
  running = null;
  driver.stop();
  navigator.geolocation.clearWatch(watch);
  clearInterval(poll);
  started(false);
  say(how, sentence);
}

/** @param {boolean} on */
function started(on) {
  start.hidden = on;
  byId("stop").hidden = !on;
  for (const field of document.querySelectorAll("fieldset")) field.disabled = on;
  byId(on ? "stop" : "start").focus();
}

byId("start-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running === null) begin();
});
byId("stop").addEventListener("click", () => stop("off", "Stopped: nothing is sent any more."));
addEventListener("pagehide", () => stop("off", "Stopped: this page was left."));

if (!isSecureContext || !("geolocation" in navigator)) {
  start.disabled = true;
  say("trouble", "A browser tells a page where it is only over HTTPS, or on the machine itself (localhost). This page came over plain HTTP.");
}

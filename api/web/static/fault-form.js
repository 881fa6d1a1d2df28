// One fault more, on purpose: between what, of which kind, for how long. Only for a key that may, where faults are allowed.

import { byId, html } from "./dom.js";

/** @typedef {{ between: string, kind: string, share: number, milliseconds: number, status: number, kilobytes: number, seconds_left: number }} Fault */
/** @typedef {{ allowed: boolean, may: boolean, max_seconds: number, kinds: Record<string, string[]>, faults: Fault[] }} Faults */
/** @typedef {import("./app-card.js").App} App */
/** @typedef {import("./app-card.js").Send} Send */

/** What each kind asks for, beside the seconds. @type {Record<string, string>} */
const NEEDS = { delay: "milliseconds", abort: "status", status: "status", bandwidth: "kilobytes" };
const SHARED = ["delay", "abort", "reset", "bandwidth"];
const FRONT = "front";
/** Of this system: a broker is asked no requests, and `front>api` is the API. */
const SYSTEM = ["api", "broker"];

/** @param {HTMLSelectElement} select @param {string[]} values */
function offer(select, values) {
  // Only where they are others: else whoever is choosing loses what he has chosen.
  if ([...select.options].map(({ value }) => value).join("\n") === values.join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...values.map((value) => html("option", { value }, value)));
  if (values.includes(chosen)) select.value = chosen;
}

/** A fault as PUT takes it: one that is on goes on for the seconds that it has left. @param {Fault} fault */
function again({ between, kind, share, milliseconds, status, kilobytes, seconds_left }) {
  return { between, kind, share, milliseconds, status, kilobytes, seconds: Math.max(1, seconds_left) };
}

export class FaultForm {
  /** @param {Send} send */
  constructor(send) {
    this.send = send;
    /** @type {Faults | null} */
    this.told = null;
    this.etag = "";
    this.etag = "";
    this.form = /** @type {HTMLFormElement} */ (byId("fault-form"));
    this.between = /** @type {HTMLSelectElement} */ (byId("fault-between"));
    this.kind = /** @type {HTMLSelectElement} */ (byId("fault-kind"));
    this.between.addEventListener("change", () => this.#fit());
    this.kind.addEventListener("change", () => this.#fit());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#make();
    });
  }

  /** @param {Faults} told @param {string} etag of these faults @param {App[]} apps */
  show(told, etag, apps) {
    this.told = told;
    this.etag = etag;
    this.form.hidden = !(told.allowed && told.may);
    if (this.form.hidden) return;
    const versions = apps.filter(({ app }) => !SYSTEM.includes(app)).flatMap(({ app, versions }) => versions.map(({ version }) => `${FRONT}>${app}/${version}`));
    offer(this.between, [`${FRONT}>api`, ...versions, ...Object.keys(told.kinds).filter((between) => between !== FRONT)]);
    this.#number("seconds").max = String(told.max_seconds);
    this.#fit();
  }

  hide() {
    this.told = null;
    this.form.hidden = true;
  }

  /** @param {string} name */
  #number(name) {
    return /** @type {HTMLInputElement} */ (byId(`fault-${name}`));
  }

  /** The kinds that can be made there, and what the chosen one asks for. */
  #fit() {
    const between = this.between.value;
    offer(this.kind, this.told?.kinds[between] ?? this.told?.kinds[FRONT] ?? []);
    for (const name of ["milliseconds", "status", "kilobytes"]) this.#asked(name, NEEDS[this.kind.value] === name);
    this.#asked("share", SHARED.includes(this.kind.value));
  }

  /** @param {string} name @param {boolean} is */
  #asked(name, is) {
    const field = this.#number(name);
    field.disabled = !is;
    /** @type {HTMLElement} */ (field.parentElement).hidden = !is;
  }

  async #make() {
    if (this.told === null) return;
    const kind = this.kind.value;
    const needed = NEEDS[kind];
    const made = {
      between: this.between.value,
      kind,
      seconds: this.#number("seconds").valueAsNumber,
      ...(SHARED.includes(kind) ? { share: this.#number("share").valueAsNumber / 100 } : {}),
      ...(needed ? { [needed]: Number(this.#number(needed).value) } : {}),
    };
    // PUT replaces all that are on; one of this kind at this place becomes the new one. None that somebody has made
    // meanwhile is lost: the server refuses then, and says so.
    const others = this.told.faults.filter((fault) => fault.between !== made.between || fault.kind !== kind);
    await this.send("PUT", "v1/faults", { faults: [...others.map(again), made] }, { "If-Match": this.etag });
  }
}

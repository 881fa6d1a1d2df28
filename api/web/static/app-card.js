// One application: its versions with their shares, and its canary. What is moved is sent when the button is pressed.

import { html, setText } from "./dom.js";
import { sharesWith } from "./shares.js";

/** @typedef {{ answers: number, errors: number, p95_ms: number | null }} Figures */
/** @typedef {{ version: string, share: number, healthy: boolean, instances: { healthy: boolean }[], figures: Figures | null }} Version */
/** @typedef {{ to: string, state: string, why: string, steps: number[], step: number }} Canary */
/** @typedef {{ app: string, number: number | null, versions: Version[], canary: Canary | null }} App */
/** @typedef {(method: string, path: string, body?: object, headers?: Record<string, string>) => Promise<boolean>} Send Says what became of it; whether it was done. */

const NUMBER = new Intl.NumberFormat("en");

/** @param {string} text @param {() => void} act */
function button(text, act) {
  const made = /** @type {HTMLButtonElement} */ (html("button", { type: "button" }, text));
  made.addEventListener("click", act);
  return made;
}

/** @param {Version} version */
function told({ instances, figures }) {
  const healthy = instances.filter((each) => each.healthy).length;
  const runs = instances.length === 0 ? "nothing runs" : `${healthy} of ${instances.length} healthy`;
  if (figures === null) return `${runs}; no answers counted`;
  const { answers, errors, p95_ms } = figures;
  const quick = p95_ms === null ? "" : `, 95 % within ${p95_ms} ms`;
  return `${runs}; ${NUMBER.format(answers)} answers, ${NUMBER.format(errors)} errors${quick}`;
}

/** @param {Canary} canary */
function walked({ to, state, why, steps, step }) {
  const at = `step ${step + 1} of ${steps.length}, ${steps[step]} %`;
  if (state === "running") return `Canary to version ${to}: ${at}; ${why}`;
  return `Last canary, to version ${to}: ${state}; ${why}`;
}

export class AppCard {
  /**
   * @param {App} app
   * @param {Send} send
   */
  constructor(app, send) {
    this.app = app;
    this.send = send;
    /** What somebody has moved and not sent, and the rule that they saw. @type {{ shares: Record<string, number>, number: number } | null} */
    this.draft = null;
    this.versions = app.versions.map(({ version }) => version);
    this.number = html("p", { class: "muted" });
    this.rows = new Map(this.versions.map((version) => [version, this.#row(version)]));
    this.apply = button("Give these shares", () => this.#apply());
    this.forget = button("Leave them as they were", () => this.#leave());
    this.undo = button("Undo the newest change", () => this.send("POST", `${this.path}/route/undo`, undefined, this.#match()));
    this.to = /** @type {HTMLSelectElement} */ (html("select", { "aria-label": `Version for a canary of ${app.app}` }, ...this.versions.map((version) => html("option", { value: version }, version))));
    // The one that fewest people have is most often the new one.
    this.to.value = app.versions.reduce((least, each) => (each.share <= least.share ? each : least)).version;
    this.begin = button("Begin a canary", () => this.send("POST", `${this.path}/canary`, { to: this.to.value }));
    this.back = button("Go back", () => this.send("DELETE", `${this.path}/canary`));
    this.progress = html("progress", { max: 100, value: 0, "aria-label": `Canary of ${app.app}` });
    this.walk = html("p");
    this.canary = html("div", { class: "canary" }, this.progress, this.walk);
    this.element = html(
      "article",
      { "data-app": app.app },
      html("h3", {}, app.app),
      this.number,
      ...[...this.rows.values()].map(({ row }) => row),
      html("div", { class: "buttons" }, this.apply, this.forget, this.undo),
      this.canary,
      html("div", { class: "buttons" }, this.to, this.begin, this.back),
    );
    this.show(app);
  }

  get path() {
    return `v1/apps/${this.app.app}`;
  }

  /** Whether this card has the versions of an application. @param {App} app */
  fits(app) {
    return app.versions.map(({ version }) => version).join("\n") === this.versions.join("\n");
  }

  /** @param {App} app */
  show(app) {
    this.app = app;
    const { number, canary, versions } = app;
    setText(this.number, number === null ? "No rule yet: all versions are published to everybody." : `Rule ${number}`);
    const running = canary?.state === "running";
    const shares = this.draft?.shares ?? this.#shares();
    for (const version of versions) {
      const found = this.rows.get(version.version);
      if (found === undefined) continue;
      found.row.dataset.healthy = String(version.healthy);
      setText(found.told, told(version));
      found.range.disabled = number === null || versions.length < 2;
      this.#slide(version.version, shares[version.version]);
    }
    this.apply.disabled = this.draft === null;
    this.forget.hidden = this.draft === null;
    this.undo.disabled = number === null || number < 2;
    this.begin.hidden = this.to.hidden = running || number === null || versions.length < 2;
    this.back.hidden = !running;
    this.canary.hidden = canary === null;
    this.progress.hidden = !running;
    if (canary === null) return;
    this.progress.setAttribute("value", String(canary.steps[canary.step]));
    setText(this.walk, walked(canary));
  }

  #shares() {
    return Object.fromEntries(this.app.versions.map(({ version, share }) => [version, share]));
  }

  #match() {
    return { "If-Match": `"${this.draft?.number ?? this.app.number}"` };
  }

  /** @param {string} version */
  #row(version) {
    const range = /** @type {HTMLInputElement} */ (html("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": `Share of ${this.app.app} ${version}, percent` }));
    const output = html("span");
    const said = html("p", { class: "muted" });
    const row = html("div", { class: "version", "data-version": version }, html("div", { class: "line" }, html("span", {}, `Version ${version}`), output), range, said);
    range.addEventListener("input", () => this.#move(version, range.valueAsNumber));
    return { row: /** @type {HTMLElement} */ (row), range, output, told: said };
  }

  /** @param {string} version @param {number} share */
  #slide(version, share) {
    const found = this.rows.get(version);
    if (found === undefined) return;
    if (found.range.valueAsNumber !== share) found.range.value = String(share);
    setText(found.output, `${share} %`);
  }

  /** @param {string} version @param {number} share */
  #move(version, share) {
    // The others give and take by what they have in the rule: so a share that is moved to and fro leaves no trace.
    this.draft = { shares: sharesWith(this.#shares(), version, share), number: this.draft?.number ?? this.app.number ?? 0 };
    this.show(this.app);
  }

  async #apply() {
    if (this.draft === null) return;
    await this.send("PUT", `${this.path}/route`, { shares: this.draft.shares, why: "moved on the operations page" }, this.#match());
    this.#leave();
  }

  #leave() {
    this.draft = null;
    this.show(this.app);
  }
}

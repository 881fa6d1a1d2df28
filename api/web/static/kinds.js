// The kinds of devices that are counted, as the page is told them: their names, their colours, their order.

import { option } from "./dom.js";

/**
 * @typedef {object} Kind
 * @property {string} id what the API calls it: the name of its count in an answer
 * @property {string} one what one of them is called
 * @property {string} many what several are called
 * @property {string} light its colour on a light page
 * @property {string} dark its colour on a dark one
 * @property {string[]} capacity_of categories of zones whose capacity is counted in them
 * @property {string} [topic] where it publishes, on the page of a device
 * @property {boolean} [person] whether one stands for a person, there
 */

/** @type {Kind[]} */
export const KINDS = JSON.parse(option("kinds"));

// Two columns of kinds have room on a phone, three beside the map: the style sheet does the rest.
document.documentElement.classList.toggle("several-kinds", KINDS.length > 2);
document.documentElement.classList.toggle("many-kinds", KINDS.length > 3);

/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/**
 * What stands over a column, or beside a chart.
 * @param {Kind} kind
 */
export const heading = (kind) => capital(kind.many);

/**
 * Marks an element, and what is within it, as being about a kind: the style sheets colour it so.
 * @template {HTMLElement} T
 * @param {T} element
 * @param {Kind} kind
 */
export function about(element, kind) {
  element.classList.add("kind");
  element.dataset.kind = kind.id;
  element.style.setProperty("--light", kind.light);
  element.style.setProperty("--dark", kind.dark);
  return element;
}

/** Draws a choice of one among several, each with a hint and the time that it would take. */

import { element } from "./dom.js";

/**
 * @typedef {object} OptionRow
 * @property {string} value
 * @property {string} label
 * @property {string} hint
 */

export class OptionRows {
  #host;
  #group;
  #onChoose;
  /** @type {Map<string, {input: HTMLInputElement, time: HTMLElement}>} */
  #rows = new Map();
  #value = "";

  /**
   * @param {HTMLElement} host
   * @param {string} group  name of the radio buttons
   * @param {(value: string) => void} onChoose
   */
  constructor(host, group, onChoose) {
    this.#host = host;
    this.#group = group;
    this.#onChoose = onChoose;
    host.addEventListener("change", ({ target }) => {
      if (target instanceof HTMLInputElement) this.#onChoose(target.value);
    });
  }

  /** @param {OptionRow[]} options */
  set options(options) {
    this.#rows.clear();
    this.#host.replaceChildren(...options.map((option) => this.#row(option)));
    this.value = this.#value;
  }

  /** @param {string} value  none is checked where there is no such option */
  set value(value) {
    this.#value = value;
    for (const [other, { input }] of this.#rows) input.checked = other === value;
  }

  /**
   * @param {string} value
   * @param {string} words  e.g. "about 2.8 s"
   */
  showTime(value, words) {
    const time = this.#rows.get(value)?.time;
    if (time !== undefined) time.textContent = words;
  }

  /** @param {OptionRow} option */
  #row({ value, label, hint }) {
    const input = element("input", { type: "radio", name: this.#group, value });
    const time = element("span", { class: "option-time" });
    this.#rows.set(value, { input, time });
    const name = element("span", { class: "option-label" }, label);
    // A space each, which a screen reader needs between the parts of the name.
    return element("label", { class: "option" }, input, name, " ", time, " ", element("span", { class: "option-hint" }, hint));
  }
}

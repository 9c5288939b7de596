/** Shows what a run would give: the size, the time, and what may go wrong. */

import { byId, element } from "./dom.js";
import { Estimator, expectedMs } from "./estimate.js";
import { estimateQuery } from "./parameters.js";
import { sizeSentence, warnings } from "./preview.js";
import { duration } from "./units.js";

/** @typedef {import("./entries.js").Entry} Entry */
/** @typedef {import("./estimate.js").Question} Question */

export class PreviewPanel {
  #form;
  #estimator = new Estimator();
  #size = byId("size-preview", HTMLElement);
  #warnings = byId("warnings", HTMLElement);

  /** @param {import("./settings-form.js").SettingsForm} form */
  constructor(form) {
    this.#form = form;
  }

  /** @param {Entry | null} entry  the picture that is shown; null for none */
  update(entry) {
    const { settings, model, limits } = this.#form;
    const picture = entry === null || entry.refusal !== "" ? null : entry.picture;
    write(this.#size, picture === null ? [] : [sizeSentence(picture, settings)]);
    const sentences = picture === null ? [] : warnings(picture, entry?.format ?? null, settings, model, limits);
    write(this.#warnings, sentences.map((sentence) => element("li", {}, sentence)));
    this.#estimator.ask(this.#questions(entry));
  }

  /**
   * What the picture would take with the settings as they are, and with those that are in sight.
   *
   * @param {Entry | null} entry
   * @returns {Question[]}
   */
  #questions(entry) {
    const { settings, alternatives } = this.#form;
    const queryOf = (/** @type {import("./settings.js").Settings} */ asked) =>
      entry === null || entry.picture.width === 0 || entry.format === null
        ? ""
        : estimateQuery(entry.picture, entry.format.name, asked);
    for (const { obstacle, show } of alternatives) if (obstacle !== "") show(obstacle);
    const open = alternatives.filter(({ obstacle }) => obstacle === "");
    return [
      { query: queryOf(settings), onAnswer: (estimate) => this.#form.showEstimate(estimate) },
      ...open.map((alternative) => this.#question(alternative, queryOf(alternative.settings))),
    ];
  }

  /**
   * @param {{show: (words: string) => void}} alternative
   * @param {string} query
   * @returns {Question}
   */
  #question({ show }, query) {
    return {
      query,
      onAnswer: (estimate, obstacle) =>
        show(estimate ? duration(expectedMs(estimate, this.#form.settings.budgetMs)) : obstacle),
    };
  }
}

/**
 * Replace the content of a live region only where it changes: a screen reader would read it out each
 * time that it is written.
 *
 * @param {HTMLElement} host
 * @param {(HTMLElement | string)[]} content
 */
function write(host, content) {
  const text = content.map((part) => (typeof part === "string" ? part : part.textContent)).join("");
  if (host.textContent !== text) host.replaceChildren(...content);
}

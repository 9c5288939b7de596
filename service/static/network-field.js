/** Which networks make the picture: four choices for most visitors, and the list of all networks. */

import { bestModel, choiceOf, choicesOf } from "./choices.js";
import { byId, element } from "./dom.js";
import { OptionRows } from "./option-rows.js";
import { widthInWords } from "./run-summary.js";

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./settings.js").Settings} Settings */

/** Value of the option that leaves the network to the service; no model has an empty name. */
const ANY = "";

export class NetworkField {
  #onChange;
  /** @type {import("./choices.js").Choice[]} */
  #choices = choicesOf([]);
  /** @type {Model[]} */
  #models = [];
  #default = "";
  #details = byId("networks", HTMLDetailsElement);
  #choiceRows;
  #networkRows;
  #folded = byId("network-value", HTMLElement);
  #width = byId("width", HTMLSelectElement);
  #strength = byId("strength", HTMLSelectElement);

  /**
   * @param {(changes: Partial<Settings>) => void} onChange
   * @param {() => void} onOpen  when the list of all networks comes into sight
   */
  constructor(onChange, onOpen) {
    this.#onChange = onChange;
    this.#choiceRows = new OptionRows(byId("choices", HTMLElement), "choice", (name) => {
      const choice = this.#choices.find((known) => known.name === name);
      if (choice !== undefined) this.#onChange(choice.sets);
    });
    this.#networkRows = new OptionRows(byId("network-list", HTMLElement), "network", (model) => this.#onChange({ model, width: "" }));
    this.#details.addEventListener("toggle", () => {
      if (this.#details.open) onOpen();
    });
    this.#width.addEventListener("change", () => this.#onChange({ width: this.#width.value }));
    this.#strength.addEventListener("change", () => this.#onChange({ strength: this.#strength.value }));
    this.#showOptions();
  }

  /**
   * @param {Model[]} models
   * @param {string} byDefault  name of the service's default model
   */
  showModels(models, byDefault) {
    this.#models = models;
    this.#default = byDefault;
    this.#choices = choicesOf(models);
    this.#showOptions();
  }

  /** @param {Settings} settings */
  write(settings) {
    const choice = choiceOf(this.#choices, settings);
    this.#choiceRows.value = choice?.name ?? "none";
    // What none of the four choices stands for must be seen although it is folded.
    this.#folded.textContent = choice === undefined ? settings.model || "own settings" : "";
    // With a width but no model, the service takes its default model.
    this.#networkRows.value = settings.model || (settings.width ? this.#default : ANY);
    this.#strength.value = settings.strength;
    const widths = this.modelOf(settings)?.widths ?? [];
    const options = widths.map((width) => element("option", { value: String(width) }, capitalized(widthInWords(width))));
    this.#width.replaceChildren(element("option", { value: "" }, "Automatic"), ...options);
    this.#width.value = settings.width;
  }

  /**
   * The model of these settings; where they name none, the service's default, whose limits stand for
   * those of all; undefined until the list is there.
   *
   * @param {Settings} settings
   */
  modelOf({ model }) {
    return this.named(model || this.#default);
  }

  /** @param {string} name */
  named(name) {
    return this.#models.find((model) => model.name === name);
  }

  /**
   * What is in sight and could be chosen instead: the settings to ask an estimate for, and where to
   * show its time or the obstacle.
   *
   * @param {Settings} settings
   * @returns {{settings: Settings, show: (words: string) => void, obstacle: string}[]}  an estimate
   *     cannot be had where an obstacle is named
   */
  alternatives(settings) {
    const choices = this.#choices.map(({ name, sets }) => ({
      settings: { ...settings, ...sets },
      show: (/** @type {string} */ words) => this.#choiceRows.showTime(name, words),
      obstacle: "",
    }));
    if (!this.#details.open) return choices;
    const names = [ANY, ...this.#models.map(({ name }) => name)];
    const networks = names.map((name) => ({
      settings: { ...settings, model: name, width: "" },
      show: (/** @type {string} */ words) => this.#networkRows.showTime(name, words),
      obstacle: this.named(name)?.on_demand && !this.named(name)?.ready ? "loads first" : "",
    }));
    return [...choices, ...networks];
  }

  #showOptions() {
    this.#choiceRows.options = this.#choices.map(({ name, label, hint }) => ({ value: name, label, hint }));
    const ladder = this.#models.filter(({ in_ladder }) => in_ladder);
    const others = this.#models.filter(({ in_ladder }) => !in_ladder);
    this.#networkRows.options = [
      { value: ANY, label: "Any", hint: "The service chooses the best in the time" },
      ...[...ladder, ...others].map((model) => ({ value: model.name, label: model.name, hint: hintOf(model, this.#models) })),
    ];
  }
}

/**
 * @param {Model} model
 * @param {Model[]} models
 */
function hintOf(model, models) {
  const [purpose] = model.description.split(/[:.;]/);
  return model === bestModel(models) ? `${purpose} (Best)` : purpose;
}

/** @param {string} text */
function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

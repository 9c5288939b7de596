/** The settings as controls, most of which the service fills with what it offers. */

import { BudgetField } from "./budget-field.js";
import { byId } from "./dom.js";
import { FormatField } from "./format-field.js";
import { NetworkField } from "./network-field.js";
import { SizeField } from "./size-field.js";
import { listed } from "./units.js";

/** @typedef {import("./settings.js").Settings} Settings */

export class SettingsForm {
  #settings;
  #onChange;
  /** @type {import("./api.js").Models | null} */
  #models = null;
  #size = new SizeField((changes) => this.change(changes));
  #format = new FormatField((changes) => this.change(changes));
  #budget = new BudgetField((budgetMs) => this.change({ budgetMs }));
  #network;
  #onMiss = byId("on-miss", HTMLSelectElement);

  /**
   * @param {Settings} settings
   * @param {(settings: Settings) => void} onChange
   * @param {() => void} onNetworks  when the list of all networks comes into sight
   */
  constructor(settings, onChange, onNetworks) {
    this.#settings = settings;
    this.#onChange = onChange;
    this.#network = new NetworkField((changes) => this.change(changes), onNetworks);
    this.#onMiss.addEventListener("change", () => this.change({ onMiss: this.#onMiss.value }));
    this.#write();
  }

  get settings() {
    return this.#settings;
  }

  /** The model whose limits hold; undefined until the list of models is there. */
  get model() {
    return this.#network.modelOf(this.#settings);
  }

  /** The limits of the service; undefined until the list of models is there. */
  get limits() {
    return this.#models?.limits;
  }

  /** The formats that the service reads; none until the list of models is there. */
  get formats() {
    return this.#models?.limits.formats ?? [];
  }

  /** What could be chosen instead, and where to show the time that it would take. */
  get alternatives() {
    return this.#network.alternatives(this.#settings);
  }

  /**
   * Whether a model can clean up compression damage; undefined for one that is not in the list.
   *
   * @param {string} name
   */
  takesStrength(name) {
    return this.#network.named(name)?.takes_strength;
  }

  /**
   * Show what the picture would take.
   *
   * @param {import("./api.js").Estimate | null} estimate  null while none is known
   */
  showEstimate(estimate) {
    this.#budget.show(estimate);
  }

  /** @param {import("./entries.js").Entry | null} entry  the picture that is shown; null for none */
  showPicture(entry) {
    const known = entry !== null && entry.picture.width > 0;
    this.#size.showPicture(known ? entry.picture : null);
    this.#format.showPicture(entry);
  }

  /** @param {Partial<Settings>} changes */
  change(changes) {
    this.#settings = this.#possible({ ...this.#settings, ...changes });
    this.#write();
    this.#onChange(this.#settings);
  }

  /**
   * Fill the controls with what the service offers.
   *
   * @param {import("./api.js").Models} models
   */
  showModels(models) {
    this.#models = models;
    this.#network.showModels(models.models, models.default);
    this.#format.showFormats(models.limits.formats);
    const { formats } = models.limits;
    byId("formats", HTMLElement).textContent = listed(formats.map(({ label }) => label), "or");
    byId("file", HTMLInputElement).accept = formats.flatMap(({ media_type, suffixes }) => [media_type, ...suffixes]).join(",");
    this.change({});
  }

  /**
   * Replace what the service does not offer: the model, width or format of the last visit may be gone.
   *
   * @param {Settings} settings
   * @returns {Settings}
   */
  #possible(settings) {
    if (this.#models === null) return settings;
    const model = this.#network.named(settings.model) === undefined ? "" : settings.model;
    const widths = this.#network.modelOf({ ...settings, model })?.widths.map(String) ?? [];
    const format = this.formats.some(({ name, written_as }) => name === settings.format && name === written_as) ? settings.format : "";
    return { ...settings, model, format, width: widths.includes(settings.width) ? settings.width : "" };
  }

  #write() {
    const settings = this.#settings;
    this.#size.write(settings);
    this.#format.write(settings);
    this.#budget.write(settings.budgetMs);
    this.#network.write(settings);
    this.#onMiss.value = settings.onMiss;
  }
}

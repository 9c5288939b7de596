/** The settings as controls: linked sliders and numbers, and choices filled by the service. */

import { BudgetField } from "./budget-field.js";
import { byId, element } from "./dom.js";
import { widthInWords } from "./facts.js";
import { fill } from "./slider.js";
import { SCALE_RANGE, clamped } from "./state.js";

/**
 * What the service does not choose by itself is for another kind of pictures, and says so.
 * @param {import("./api.js").Model} model
 */
function labelOf({ name, in_ladder, description }) {
  return in_ladder ? name : `${name}: ${description.split(/[:.;,]/)[0]}`;
}

export class SettingsForm {
  #settings;
  #onChange;
  /** @type {import("./api.js").Models | null} */
  #models = null;
  #scale = byId("scale", HTMLInputElement);
  #scaleNumber = byId("scale-number", HTMLInputElement);
  #budget = new BudgetField((budgetMs) => this.change({ budgetMs }));
  #model = byId("model", HTMLSelectElement);
  #width = byId("width", HTMLSelectElement);
  #strength = byId("strength", HTMLSelectElement);
  #format = byId("format", HTMLSelectElement);
  #onMiss = byId("on-miss", HTMLSelectElement);

  /**
   * @param {import("./state.js").Settings} settings
   * @param {(settings: import("./state.js").Settings) => void} onChange
   */
  constructor(settings, onChange) {
    this.#settings = settings;
    this.#onChange = onChange;
    this.#listen();
    this.#write();
  }

  get settings() {
    return this.#settings;
  }

  /** The model that would run; undefined until the service has told its models. */
  get model() {
    const name = this.#settings.model || this.#models?.default;
    return this.#models?.models.find((model) => model.name === name);
  }

  /**
   * Whether a model can clean up damage; undefined for one that the service has not told.
   * @param {string} name
   */
  cleans(name) {
    return this.#models?.models.find((model) => model.name === name)?.takes_strength;
  }

  /** What the service takes and makes at most; undefined until it has told. */
  get limits() {
    return this.#models?.limits;
  }

  /**
   * Show what the picture would take.
   * @param {import("./api.js").Estimate | null} estimate
   */
  foretell(estimate) {
    this.#budget.show(estimate);
  }

  /** @param {Partial<import("./state.js").Settings>} changes */
  change(changes) {
    this.#settings = { ...this.#settings, ...changes };
    this.#write();
    this.#onChange(this.#settings);
  }

  /** @param {import("./api.js").Models} models */
  offer(models) {
    this.#models = models;
    const options = models.models.map((model) => element("option", { value: model.name }, labelOf(model)));
    this.#model.replaceChildren(element("option", { value: "" }, "the best in time"), ...options);
    // What was remembered may be gone by now.
    const known = models.models.some(({ name }) => name === this.#settings.model);
    this.change({ model: known ? this.#settings.model : "" });
  }

  #listen() {
    const number = (/** @type {HTMLInputElement} */ input) => input.valueAsNumber;
    this.#scale.addEventListener("input", () => this.change({ scale: number(this.#scale) }));
    // A number counts once it is finished: while "2.5" is typed, "2" is not meant.
    this.#scaleNumber.addEventListener("change", () => this.#typeScale());
    this.#model.addEventListener("change", () => this.change({ model: this.#model.value }));
    this.#width.addEventListener("change", () => this.change({ width: this.#width.value }));
    this.#strength.addEventListener("change", () => this.change({ strength: this.#strength.value }));
    this.#format.addEventListener("change", () => this.change({ format: this.#format.value }));
    this.#onMiss.addEventListener("change", () => this.change({ onMiss: this.#onMiss.value }));
  }

  #typeScale() {
    const scale = clamped(this.#scaleNumber.value, SCALE_RANGE, this.#settings.scale);
    this.change({ scale: Math.round(scale * 100) / 100 });
  }

  #write() {
    const { scale, budgetMs, strength, format, onMiss } = this.#settings;
    this.#scale.value = this.#scaleNumber.value = String(scale);
    this.#scale.setAttribute("aria-valuetext", `${scale} times`);
    this.#budget.write(budgetMs);
    fill(this.#scale);
    this.#strength.value = strength;
    this.#format.value = format;
    this.#onMiss.value = onMiss;
    if (this.#models) this.#writeWidths();
  }

  #writeWidths() {
    this.#model.value = this.#settings.model;
    const widths = this.model?.widths ?? [];
    if (!widths.map(String).includes(this.#settings.width)) this.#settings.width = "";
    const options = widths.map((width) => element("option", { value: String(width) }, capital(widthInWords(width))));
    this.#width.replaceChildren(element("option", { value: "" }, "Auto, by budget"), ...options);
    this.#width.value = this.#settings.width;
  }
}

/** @param {string} words */
function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

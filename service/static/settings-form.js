/** The settings as controls: linked sliders and number fields, and menus that the service fills. */

import { BudgetField } from "./budget-field.js";
import { byId, element } from "./dom.js";
import { widthInWords } from "./run-summary.js";
import { SCALE_RANGE, clamped } from "./settings.js";
import { fill } from "./slider.js";

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * A model beside the ladder says what it is for, because only the visitor can choose it.
 *
 * @param {Model} model
 */
function modelOption({ name, in_ladder, description }) {
  const label = in_ladder ? name : `${name}: ${description.split(/[:.;,]/)[0]}`;
  return element("option", { value: name }, label);
}

/**
 * @param {string} label
 * @param {Model[]} models
 * @returns {HTMLOptGroupElement[]} none without models
 */
function modelGroup(label, models) {
  return models.length > 0 ? [element("optgroup", { label }, ...models.map(modelOption))] : [];
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
  #anyModel = element("option", { value: "" });
  #width = byId("width", HTMLSelectElement);
  #strength = byId("strength", HTMLSelectElement);
  #format = byId("format", HTMLSelectElement);
  #onMiss = byId("on-miss", HTMLSelectElement);

  /**
   * @param {Settings} settings
   * @param {(settings: Settings) => void} onChange
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

  /**
   * The model that was chosen, else the service's default, whose limits stand for those of all;
   * undefined until the list of models is there.
   */
  get model() {
    return this.#modelNamed(this.#settings.model || this.#models?.default);
  }

  /** The limits of the service; undefined until the list of models is there. */
  get limits() {
    return this.#models?.limits;
  }

  /**
   * Whether a model can clean up compression damage; undefined for one that is not in the list.
   *
   * @param {string} name
   */
  takesStrength(name) {
    return this.#modelNamed(name)?.takes_strength;
  }

  /**
   * Show what the picture would take.
   *
   * @param {import("./api.js").Estimate | null} estimate  null while none is known
   */
  showEstimate(estimate) {
    this.#budget.show(estimate);
  }

  /** @param {Partial<Settings>} changes */
  change(changes) {
    this.#settings = { ...this.#settings, ...changes };
    this.#write();
    this.#onChange(this.#settings);
  }

  /**
   * Show which formats there are: as a menu, in words, and to the file dialogue.
   *
   * @param {import("./api.js").Format[]} formats
   */
  #showFormats(formats) {
    const options = formats.map(({ name, label }) => element("option", { value: name }, label));
    this.#format.replaceChildren(element("option", { value: "" }, "Unchanged"), ...options);
    const labels = formats.map(({ label }) => label);
    const last = labels.pop() ?? "";
    byId("formats", HTMLElement).textContent = labels.length > 0 ? `${labels.join(", ")} or ${last}` : last;
    const accepted = formats.flatMap(({ media_type, suffixes }) => [media_type, ...suffixes]);
    byId("file", HTMLInputElement).accept = accepted.join(",");
  }

  /**
   * Fill the menus with what the service offers.
   *
   * @param {import("./api.js").Models} models
   */
  showModels(models) {
    this.#models = models;
    this.#showFormats(models.limits.formats);
    this.#model.replaceChildren(
      this.#anyModel,
      ...modelGroup("Used automatically", models.models.filter(({ in_ladder }) => in_ladder)),
      ...modelGroup("Used only when chosen", models.models.filter(({ in_ladder }) => !in_ladder)),
    );
    // The model of the last visit may be gone.
    const known = this.#modelNamed(this.#settings.model) !== undefined;
    this.change({ model: known ? this.#settings.model : "" });
  }

  /** @param {string | undefined} name */
  #modelNamed(name) {
    return this.#models?.models.find((model) => model.name === name);
  }

  #listen() {
    this.#scale.addEventListener("input", () => this.change({ scale: this.#scale.valueAsNumber }));
    // On "change", not on "input": while "2.5" is typed, "2" is not meant.
    this.#scaleNumber.addEventListener("change", () => this.#readScaleNumber());
    this.#model.addEventListener("change", () => this.change({ model: this.#model.value }));
    this.#width.addEventListener("change", () => this.change({ width: this.#width.value }));
    this.#strength.addEventListener("change", () => this.change({ strength: this.#strength.value }));
    this.#format.addEventListener("change", () => this.change({ format: this.#format.value }));
    this.#onMiss.addEventListener("change", () => this.change({ onMiss: this.#onMiss.value }));
  }

  #readScaleNumber() {
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
    if (this.#models) this.#writeNetwork();
  }

  #writeNetwork() {
    const widths = this.model?.widths ?? [];
    if (!widths.map(String).includes(this.#settings.width)) this.#settings.width = "";
    // With a width but no model, the service takes its default model.
    this.#anyModel.textContent = this.#settings.width ? "Default model" : "Best in time";
    this.#model.value = this.#settings.model;
    const options = widths.map((width) => element("option", { value: String(width) }, capitalized(widthInWords(width))));
    this.#width.replaceChildren(element("option", { value: "" }, "Automatic"), ...options);
    this.#width.value = this.#settings.width;
  }
}

/** @param {string} text */
function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

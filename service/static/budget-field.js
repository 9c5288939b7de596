/** The time limit: automatic, or set by slider or number in seconds; beside it what the picture would take. */

import { byId } from "./dom.js";
import { budgetsOf, estimateSentence } from "./estimate.js";
import { fill } from "./slider.js";
import { BUDGET_RANGE, BUDGET_SLIDER, clamped } from "./settings.js";
import { duration } from "./units.js";

const SLIDER_STEPS = 1000;
const BUDGET_RATIO = BUDGET_SLIDER.max / BUDGET_SLIDER.min;
/** Where the thumb stands while there is no estimate. */
const UNKNOWN_MS = 10_000;

/** @param {number} position  0 to SLIDER_STEPS */
function budgetAt(position) {
  const exact = BUDGET_SLIDER.min * BUDGET_RATIO ** (position / SLIDER_STEPS);
  // Two digits: a hand on a slider is no more precise.
  return Number(exact.toPrecision(2));
}

/**
 * @param {number} budgetMs
 * @returns {number} place on the slider, 0 to 1; outside of these for what it does not cover
 */
function partOf(budgetMs) {
  return Math.log(budgetMs / BUDGET_SLIDER.min) / Math.log(BUDGET_RATIO);
}

/** @param {number} budgetMs */
function positionOf(budgetMs) {
  return Math.round(Math.min(1, Math.max(0, partOf(budgetMs))) * SLIDER_STEPS);
}

export class BudgetField {
  /** @type {number | null} */
  #budgetMs = null;
  /** @type {import("./api.js").Estimate | null} */
  #estimate = null;
  #slider = byId("budget", HTMLInputElement);
  #number = byId("budget-number", HTMLInputElement);
  #automatic = byId("budget-automatic", HTMLInputElement);
  #range = byId("budget-range", HTMLElement);
  #folded = byId("budget-value", HTMLElement);
  #sentence = byId("time-estimate", HTMLElement);
  #marks = { fastest: byId("mark-fastest", HTMLElement), best: byId("mark-best", HTMLElement) };

  /** @param {(budgetMs: number | null) => void} onChange  null for automatic */
  constructor(onChange) {
    this.#slider.addEventListener("input", () => onChange(this.#shownMs));
    // On "change", not on "input": while "12" is typed, "1" is not meant.
    this.#number.addEventListener("change", () => {
      const ms = Math.round(1000 * Number.parseFloat(this.#number.value));
      onChange(clamped(ms, BUDGET_RANGE, this.#budgetMs));
    });
    this.#automatic.addEventListener("change", () => onChange(this.#automatic.checked ? null : this.#shownMs));
  }

  /** @param {number | null} budgetMs  null for automatic */
  write(budgetMs) {
    this.#budgetMs = budgetMs;
    this.#automatic.checked = budgetMs === null;
    this.#number.value = budgetMs === null ? "" : String(budgetMs / 1000);
    this.#range.hidden = budgetMs === null;
    this.#folded.textContent = budgetMs === null ? "automatic" : duration(budgetMs);
    this.#writeSentence();
    this.#writeSlider();
  }

  /** @param {import("./api.js").Estimate | null} estimate  null while none is known */
  show(estimate) {
    this.#estimate = estimate;
    this.#writeSentence();
    const budgets = estimate ? budgetsOf(estimate) : { fastest: NaN, best: NaN };
    this.#place(this.#marks.fastest, budgets.fastest);
    this.#place(this.#marks.best, budgets.best);
    // The number field is left alone: a number may be half typed when the answer comes.
    this.#writeSlider();
  }

  #writeSentence() {
    const sentence = this.#estimate ? estimateSentence(this.#estimate, this.#budgetMs) : "";
    // This is a live region: a screen reader would read it out each time that it is written.
    if (this.#sentence.textContent !== sentence) this.#sentence.textContent = sentence;
  }

  #writeSlider() {
    const shownMs = this.#budgetMs ?? this.#estimate?.default_budget_ms ?? UNKNOWN_MS;
    this.#slider.value = String(positionOf(shownMs));
    this.#slider.setAttribute("aria-valuetext", duration(shownMs));
    fill(this.#slider);
  }

  get #shownMs() {
    return budgetAt(this.#slider.valueAsNumber);
  }

  /**
   * @param {HTMLElement} mark
   * @param {number} budgetMs  NaN for none
   */
  #place(mark, budgetMs) {
    const part = partOf(budgetMs);
    mark.hidden = !(part >= 0 && part <= 1);
    if (!mark.hidden) mark.style.setProperty("--at", String(part));
  }
}

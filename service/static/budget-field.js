/** The time budget: automatic, or chosen by slider or number; with what the picture would take. */

import { byId } from "./dom.js";
import { budgetsOf, takesSentence } from "./estimate.js";
import { fill } from "./slider.js";
import { BUDGET_RANGE, BUDGET_SLIDER, clamped } from "./state.js";
import { duration } from "./units.js";

const SLIDER_STEPS = 1000;
const BUDGET_RATIO = BUDGET_SLIDER.max / BUDGET_SLIDER.min;
/** Where the thumb waits while nobody has said how long the picture takes. */
const UNKNOWN_MS = 10_000;

/** @param {number} position  0 to SLIDER_STEPS */
function budgetAt(position) {
  const exact = BUDGET_SLIDER.min * BUDGET_RATIO ** (position / SLIDER_STEPS);
  // Two digits are as precise as a hand is; "1 237 ms" would pretend more.
  return Number(exact.toPrecision(2));
}

/** @param {number} budgetMs  on the slider from 0 to 1; beyond it less or more */
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
  #default = byId("budget-default", HTMLElement);
  #takes = byId("takes", HTMLElement);
  #marks = { quick: byId("mark-quick", HTMLElement), best: byId("mark-best", HTMLElement) };

  /** @param {(budgetMs: number | null) => void} onChange  null for automatic */
  constructor(onChange) {
    this.#slider.addEventListener("input", () => onChange(this.#shownMs));
    // A number counts once it is finished: while "12" is typed, "1" is not meant.
    this.#number.addEventListener("change", () => onChange(clamped(this.#number.value, BUDGET_RANGE, this.#budgetMs)));
    this.#automatic.addEventListener("change", () => onChange(this.#automatic.checked ? null : this.#shownMs));
  }

  /** @param {number | null} budgetMs  null for automatic */
  write(budgetMs) {
    this.#budgetMs = budgetMs;
    this.#automatic.checked = budgetMs === null;
    this.#number.value = budgetMs === null ? "" : String(budgetMs);
    this.#writeSlider();
  }

  /** @param {import("./api.js").Estimate | null} estimate  null while none is known */
  show(estimate) {
    this.#estimate = estimate;
    const sentence = estimate ? takesSentence(estimate) : "";
    // Written only on change: it is a live region, and would be read out each time.
    if (this.#takes.textContent !== sentence) this.#takes.textContent = sentence;
    this.#default.textContent = estimate ? `${duration(estimate.default_budget_ms)} for this picture` : "";
    const budgets = estimate ? budgetsOf(estimate) : { quick: NaN, best: NaN };
    this.#mark(this.#marks.quick, budgets.quick);
    this.#mark(this.#marks.best, budgets.best);
    // Not the number: one may be half typed when the answer comes.
    this.#writeSlider();
  }

  #writeSlider() {
    const automatic = this.#budgetMs === null;
    const foreseenMs = this.#estimate?.default_budget_ms;
    const shownMs = this.#budgetMs ?? foreseenMs ?? UNKNOWN_MS;
    this.#slider.value = String(positionOf(shownMs));
    this.#slider.toggleAttribute("data-automatic", automatic);
    const words = foreseenMs === undefined ? "Automatic" : `Automatic, ${duration(foreseenMs)}`;
    this.#slider.setAttribute("aria-valuetext", automatic ? words : duration(shownMs));
    fill(this.#slider);
  }

  get #shownMs() {
    return budgetAt(this.#slider.valueAsNumber);
  }

  /**
   * @param {HTMLElement} mark
   * @param {number} budgetMs  NaN for none
   */
  #mark(mark, budgetMs) {
    const part = partOf(budgetMs);
    mark.hidden = !(part >= 0 && part <= 1);
    if (!mark.hidden) mark.style.setProperty("--at", String(part));
  }
}

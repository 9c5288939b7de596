/** Asks the service what a picture would take, before the picture is sent. */

import { Problem, fetchEstimate } from "./api.js";
import { BUDGET_RANGE } from "./settings.js";
import { duration } from "./units.js";

/** @typedef {import("./api.js").Estimate} Estimate */

const DEBOUNCE_MS = 250;

/**
 * Two budgets in milliseconds: one has room for the fastest network, the other for the best one that
 * the largest budget allows. Both include the wait for the pictures before this one.
 *
 * @param {Estimate} estimate
 */
export function budgetsOf({ rungs, wait_ms }) {
  const fastest = rungs.find(({ width }) => width > 0) ?? rungs[0];
  const allowed = rungs.filter(({ width, budget_ms }) => width > 0 && budget_ms <= BUDGET_RANGE.max);
  const best = allowed[allowed.length - 1] ?? fastest;
  return { fastest: fastest.budget_ms + wait_ms, best: best.budget_ms + wait_ms };
}

/**
 * The time until the picture is there, of the best way that the budget has room for.
 *
 * @param {Estimate} estimate
 * @param {number | null} budgetMs  null for the service's own choice
 * @returns {number} milliseconds
 */
export function expectedMs({ rungs, wait_ms, default_budget_ms }, budgetMs) {
  const room = (budgetMs ?? default_budget_ms) - wait_ms;
  const chosen = rungs.filter(({ budget_ms }) => budget_ms <= room).pop() ?? rungs[0];
  // A budget holds the safe cost of the run, and what gateway and queue add to it.
  return wait_ms + chosen.expected_ms + (chosen.budget_ms - chosen.safe_ms);
}

/**
 * @param {Estimate} estimate
 * @param {number | null} budgetMs  null for the service's own choice
 * @returns {string} e.g. "About 2.8 s."
 */
export function estimateSentence(estimate, budgetMs) {
  const expected = `About ${duration(expectedMs(estimate, budgetMs))}.`;
  if (budgetMs === null) return expected;
  const { fastest, best } = budgetsOf(estimate);
  if (duration(best) === duration(fastest)) return expected;
  return `${expected} The fastest network needs ${duration(fastest)}, the best ${duration(best)}.`;
}

/**
 * @param {unknown} error  of a question for an estimate
 * @returns {string} what keeps the picture from being made, in a few words; "" where that is unknown
 */
function obstacle(error) {
  if (!(error instanceof Problem)) return "";
  if (error.code === "not_ready") return "not ready";
  return error.code === "invalid_request" ? "not at this size" : "";
}

/**
 * @typedef {object} Question
 * @property {string} query  of GET /estimate; "" for none
 * @property {(answer: Estimate | null, obstacle: string) => void} onAnswer  null without an answer
 */

/**
 * Asks questions one after the other whenever they have changed, and reports the answers to the newest
 * ones alone. An answer that stays the same is not withdrawn meanwhile: words that came and went
 * at each step of a slider could not be read.
 */
export class Estimator {
  #asked = "";
  #timer = 0;
  #request = new AbortController();

  /** @param {Question[]} questions  the most important one first */
  ask(questions) {
    const asked = JSON.stringify(questions.map(({ query }) => query));
    if (asked === this.#asked) return;
    this.#asked = asked;
    clearTimeout(this.#timer);
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    for (const { query, onAnswer } of questions) if (query === "") onAnswer(null, "");
    const open = questions.filter(({ query }) => query !== "");
    if (open.length > 0) this.#timer = window.setTimeout(() => this.#fetchAll(open, signal), DEBOUNCE_MS);
  }

  /**
   * @param {Question[]} questions
   * @param {AbortSignal} signal
   */
  async #fetchAll(questions, signal) {
    /** @type {Map<string, Promise<Estimate>>} */
    const answers = new Map();
    for (const { query, onAnswer } of questions) {
      const answer = answers.get(query) ?? fetchEstimate(query, signal);
      answers.set(query, answer);
      try {
        const estimate = await answer;
        if (signal.aborted) return;
        onAnswer(estimate, "");
      } catch (error) {
        if (signal.aborted) return;
        // The visitor can send the picture all the same, and hears then what is wrong. The next
        // change asks again, even if it leads back to the same questions.
        this.#asked = "";
        onAnswer(null, obstacle(error));
      }
    }
  }
}

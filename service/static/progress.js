/** Shows how a run goes on: first the upload, then the time against the budget. */

import { duration } from "./units.js";

export class Progress {
  #text;
  #meter;
  #frame = 0;

  /**
   * @param {HTMLElement} text
   * @param {HTMLElement} meter
   */
  constructor(text, meter) {
    this.#text = text;
    this.#meter = meter;
  }

  /** @param {number} part  of the body sent, 0 to 1 */
  uploading(part) {
    this.#show("uploading", `Sending, ${Math.round(part * 100)} %`, part);
  }

  /**
   * Count the time from now. The bar shows how much of the budget is used, because the service does
   * not tell how much of the picture is made.
   *
   * @param {number | null} budgetMs  null where it is not known; the bar then stays empty
   */
  working(budgetMs) {
    this.stop();
    const start = performance.now();
    const tick = () => {
      const spent = performance.now() - start;
      const late = budgetMs !== null && spent > budgetMs;
      this.#show(late ? "late" : "working", workingText(spent, budgetMs), budgetMs === null ? 0 : spent / budgetMs);
      this.#frame = requestAnimationFrame(tick);
    };
    tick();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
  }

  /**
   * @param {string} phase
   * @param {string} text
   * @param {number} part
   */
  #show(phase, text, part) {
    const whole = Math.min(1, part);
    this.#text.textContent = text;
    this.#meter.dataset.phase = phase;
    this.#meter.style.setProperty("--part", String(whole));
    this.#meter.setAttribute("aria-valuenow", String(Math.round(whole * 100)));
    this.#meter.setAttribute("aria-valuetext", text);
  }
}

/**
 * @param {number} spent  milliseconds
 * @param {number | null} budgetMs
 */
function workingText(spent, budgetMs) {
  if (budgetMs === null) return `Working, ${tenths(spent)}`;
  if (spent > budgetMs) return `Over the budget by ${tenths(spent - budgetMs)}`;
  return `Working, ${tenths(spent)} of ${duration(budgetMs)}`;
}

/** @param {number} ms */
function tenths(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

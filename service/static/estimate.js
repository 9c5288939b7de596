/** Asks the service what a picture would take, before the picture is sent. */

import { fetchEstimate } from "./api.js";
import { BUDGET_RANGE } from "./settings.js";
import { duration } from "./units.js";

/** @typedef {import("./api.js").Estimate} Estimate */

const DEBOUNCE_MS = 250;

/**
 * @param {import("./picture.js").Picture} picture
 * @param {import("./settings.js").Settings} settings
 * @param {import("./api.js").Format[]} formats  those that the service reads
 * @returns {string} the query; "" where size or format of the picture are unknown
 */
function queryOf({ file, width, height }, settings, formats) {
  const format = formats.find(({ media_type }) => media_type === file.type)?.name;
  if (width === 0 || format === undefined) return "";
  const query = new URLSearchParams({
    width: String(width),
    height: String(height),
    format,
    scale: String(settings.scale),
    on_miss: settings.onMiss,
  });
  if (settings.model) query.set("model", settings.model);
  if (settings.width) query.set("anysr_width", settings.width);
  if (settings.strength) query.set("strength", settings.strength);
  if (settings.format) query.set("output_format", settings.format);
  return query.toString();
}

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
 * @param {Estimate} estimate
 * @returns {string} e.g. "About 600 ms (fastest) to 3 s (best)."
 */
export function estimateSentence(estimate) {
  const { fastest, best } = budgetsOf(estimate);
  if (rounded(best) === rounded(fastest)) return `About ${rounded(best)}.`;
  return `About ${rounded(fastest)} (fastest) to ${rounded(best)} (best).`;
}

/** @param {number} ms */
function rounded(ms) {
  return duration(Number(ms.toPrecision(2)));
}

/** Asks whenever picture or settings have changed, and reports the newest answer alone. */
export class Estimator {
  #onEstimate;
  #query = "";
  #timer = 0;
  #request = new AbortController();

  /** @param {(estimate: Estimate | null) => void} onEstimate  null where there is none */
  constructor(onEstimate) {
    this.#onEstimate = onEstimate;
  }

  /**
   * Withdraw the estimate, because the picture is another one. Where only the settings change, the
   * estimate stays until the next answer: a sentence that came and went at each step of a slider
   * could not be read.
   */
  reset() {
    this.#replace("");
    this.#onEstimate(null);
  }

  /**
   * @param {import("./picture.js").Picture} picture
   * @param {import("./settings.js").Settings} settings
   * @param {import("./api.js").Format[]} formats  those that the service reads, if known
   */
  update(picture, settings, formats) {
    const query = queryOf(picture, settings, formats);
    if (query === this.#query) return;
    this.#replace(query);
    if (query === "") this.#onEstimate(null);
    else this.#timer = window.setTimeout(() => this.#fetch(query, this.#request.signal), DEBOUNCE_MS);
  }

  /** @param {string} query */
  #replace(query) {
    clearTimeout(this.#timer);
    this.#request.abort();
    this.#request = new AbortController();
    this.#query = query;
  }

  /**
   * @param {string} query
   * @param {AbortSignal} signal
   */
  async #fetch(query, signal) {
    try {
      const estimate = await fetchEstimate(query, signal);
      if (!signal.aborted) this.#onEstimate(estimate);
    } catch {
      if (signal.aborted) return;
      // The visitor can send the picture all the same, and hears then what is wrong. The next
      // change asks again, even if it leads back to this query.
      this.#query = "";
      this.#onEstimate(null);
    }
  }
}

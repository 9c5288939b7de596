/** What a picture would take here, asked of the service before the picture is sent. */

import { fetchEstimate } from "./api.js";
import { BUDGET_RANGE } from "./state.js";
import { duration } from "./units.js";

/** @typedef {import("./api.js").Estimate} Estimate */

const PAUSE_MS = 250;
const FORMATS = new Set(["png", "jpeg", "webp", "avif"]);

/**
 * @param {import("./forecast.js").Picture} picture
 * @param {import("./state.js").Settings} settings
 * @returns {string} the query, "" where the picture is not known well enough to ask
 */
function queryOf({ file, width, height }, settings) {
  const format = file.type.replace("image/", "");
  if (width === 0 || !FORMATS.has(format)) return "";
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
 * The budgets, in milliseconds, that have room for the best network that any budget allows and for
 * the quickest, behind what waits now.
 *
 * @param {Estimate} estimate
 */
export function budgetsOf({ rungs, wait_ms }) {
  const quick = rungs.find(({ width }) => width > 0) ?? rungs[0];
  const allowed = rungs.filter(({ width, budget_ms }) => width > 0 && budget_ms <= BUDGET_RANGE.max);
  const best = allowed[allowed.length - 1] ?? quick;
  return { quick: quick.budget_ms + wait_ms, best: best.budget_ms + wait_ms };
}

/**
 * @param {Estimate} estimate
 * @returns {string} e.g. "About 3 s for the best, 600 ms for quick."
 */
export function takesSentence(estimate) {
  const { quick, best } = budgetsOf(estimate);
  if (rounded(best) === rounded(quick)) return `About ${rounded(best)}.`;
  return `About ${rounded(best)} for the best, ${rounded(quick)} for quick.`;
}

/** @param {number} ms */
function rounded(ms) {
  return duration(Number(ms.toPrecision(2)));
}

/** Asks when there is something new to ask; only the newest answer is told. */
export class Estimator {
  #tell;
  #query = "";
  #timer = 0;
  #asking = new AbortController();

  /** @param {(estimate: Estimate | null) => void} tell  null where none is to be had */
  constructor(tell) {
    this.#tell = tell;
  }

  /**
   * Another picture: what was told is no longer true. Settings that move leave it until the next
   * answer, for a sentence that comes and goes with each step could not be read.
   */
  forget() {
    this.#replace("");
    this.#tell(null);
  }

  /**
   * @param {import("./forecast.js").Picture} picture
   * @param {import("./state.js").Settings} settings
   */
  ask(picture, settings) {
    const query = queryOf(picture, settings);
    if (query === this.#query) return;
    this.#replace(query);
    if (query === "") this.#tell(null);
    else this.#timer = window.setTimeout(() => this.#fetch(query, this.#asking.signal), PAUSE_MS);
  }

  /** @param {string} query */
  #replace(query) {
    clearTimeout(this.#timer);
    this.#asking.abort();
    this.#asking = new AbortController();
    this.#query = query;
  }

  /**
   * @param {string} query
   * @param {AbortSignal} signal
   */
  async #fetch(query, signal) {
    try {
      const estimate = await fetchEstimate(query, signal);
      if (!signal.aborted) this.#tell(estimate);
    } catch {
      if (signal.aborted) return;
      // The picture can be sent all the same, and what is wrong is said then. Ask again at the
      // next change, whatever it is.
      this.#query = "";
      this.#tell(null);
    }
  }
}

/** Makes pictures one after the other, a few at once where the service has several workers. */

import { Problem, fetchEstimate, upscale } from "./api.js";
import { setResult } from "./entries.js";
import { estimateQuery, upscaleParameters } from "./parameters.js";
import { readPicture, releasePicture } from "./picture.js";
import { resultName } from "./result-name.js";
import { readRunSummary } from "./run-summary.js";

/** @typedef {import("./entries.js").Entry} Entry */
/** @typedef {import("./settings.js").Settings} Settings */

/** However many workers there are, others want some of them. */
const MAX_LANES = 4;
const WAITABLE = new Set([429, 503]);
/** A service that was busy for so many times in turn has no room for this picture. */
const MAX_PAUSES = 30;
const LEAST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 60;

/**
 * @typedef {object} RunOptions
 * @property {Settings} settings
 * @property {import("./api.js").Format[]} formats
 * @property {number} lanes      pictures at once, at least 1
 * @property {boolean} patient   whether to go on without the visitor: wait for a busy service, and take
 *     the first frame of an animation
 * @property {(entry: Entry) => void} onChange  after each change of a phase
 */

export class Runner {
  /** @type {Map<Entry, AbortController>} */
  #aborts = new Map();

  get running() {
    return this.#aborts.size > 0;
  }

  /**
   * Run all `entries`; one that fails does not stop the others.
   *
   * @param {Entry[]} entries
   * @param {RunOptions} options
   */
  async run(entries, options) {
    for (const entry of entries) {
      this.#aborts.set(entry, new AbortController());
      entry.problem = null;
      setPhase(entry, "queued");
      options.onChange(entry);
    }
    const waiting = [...entries];
    const lane = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await this.#runOne(next, options);
    };
    await Promise.all(Array.from({ length: Math.min(MAX_LANES, Math.max(1, options.lanes)) }, lane));
  }

  /** @param {Entry} entry */
  cancel(entry) {
    this.#aborts.get(entry)?.abort();
  }

  cancelAll() {
    for (const abort of this.#aborts.values()) abort.abort();
  }

  /**
   * @param {Entry} entry
   * @param {RunOptions} options
   */
  async #runOne(entry, options) {
    const { signal } = /** @type {AbortController} */ (this.#aborts.get(entry));
    try {
      await attempts(entry, options, signal);
    } catch (error) {
      if (error instanceof Problem) entry.problem = error;
      else if (!signal.aborted) throw error;
    } finally {
      this.#aborts.delete(entry);
      setPhase(entry, "idle");
      options.onChange(entry);
    }
  }
}

/**
 * @param {Entry} entry
 * @param {import("./entries.js").Phase} phase
 */
function setPhase(entry, phase) {
  entry.phase = phase;
  entry.part = 0;
  entry.since = performance.now();
}

/**
 * Send a picture; while the service is busy, again after as long as it asks for, and an animation again
 * as its first frame.
 *
 * @param {Entry} entry
 * @param {RunOptions} options
 * @param {AbortSignal} signal
 */
async function attempts(entry, options, signal) {
  for (let pauses = 0; ; pauses++) {
    signal.throwIfAborted();
    try {
      await attempt(entry, options, signal);
      return;
    } catch (error) {
      if (!(error instanceof Problem) || !options.patient || pauses >= MAX_PAUSES) throw error;
      if (canTakeFirstFrame(entry, error)) entry.frame = 0;
      else if (WAITABLE.has(error.status) && error.code !== "quota_exceeded") await pause(entry, error.retryAfterS, options, signal);
      else throw error;
    }
  }
}

/**
 * @param {Entry} entry
 * @param {Problem} problem  of its last run
 * @returns {boolean} whether it is an animation of which no frame was named
 */
export function canTakeFirstFrame({ frame }, { code }) {
  return code === "animated_image" && frame === null;
}

/**
 * @param {Entry} entry
 * @param {number} seconds  NaN where the service did not tell
 * @param {RunOptions} options
 * @param {AbortSignal} signal
 */
async function pause(entry, seconds, options, signal) {
  const ms = 1000 * Math.min(LONGEST_PAUSE_S, Math.max(LEAST_PAUSE_S, seconds || 0));
  setPhase(entry, "pausing");
  entry.untilMs = entry.since + ms;
  options.onChange(entry);
  await new Promise((resolve, reject) => {
    const timer = window.setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}

/**
 * @param {Entry} entry
 * @param {RunOptions} options
 * @param {AbortSignal} signal
 */
async function attempt(entry, { settings, formats, onChange }, signal) {
  const { frame } = entry;
  entry.settings = settings;
  setPhase(entry, "sending");
  onChange(entry);
  void expect(entry, settings, signal);
  const answer = await upscale(entry.picture.file, upscaleParameters(settings, frame), {
    signal,
    onUpload: (part) => (entry.part = part),
    onSent: () => {
      setPhase(entry, "working");
      onChange(entry);
    },
  });
  const { type } = answer.picture;
  const name = resultName(entry.picture.file.name, settings, type, formats);
  const picture = await readPicture(new File([answer.picture], name, { type }));
  if (signal.aborted) releasePicture(picture);
  signal.throwIfAborted();
  setResult(entry, { picture, run: readRunSummary(answer.header), settings, frame });
}

/**
 * Learn what the run will take, beside the upload; without an answer nothing is promised.
 *
 * @param {Entry} entry
 * @param {Settings} settings
 * @param {AbortSignal} signal
 */
async function expect(entry, settings, signal) {
  entry.estimate = null;
  if (entry.picture.width === 0 || entry.format === null) return;
  try {
    entry.estimate = await fetchEstimate(estimateQuery(entry.picture, entry.format.name, settings), signal);
  } catch {
    // The answer to the picture itself tells what is wrong.
  }
}

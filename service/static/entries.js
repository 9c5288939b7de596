/**
 * The pictures of this visit, in the order in which they came: each with what is known of it, how far
 * it is, and its result.
 *
 * @typedef {object} Entry
 * @property {number} id
 * @property {import("./picture.js").Picture} picture
 * @property {import("./api.js").Format | null} format  of the file, where it is certain
 * @property {number | null} frame  of an animation, or page of a TIFF, from 0; null where none is named
 * @property {string} refusal   why it cannot be sent; "" if it can
 * @property {Phase} phase
 * @property {number} part      of the body sent, 0 to 1
 * @property {number} since     performance.now() at which the phase began
 * @property {number} untilMs   performance.now() at which a pause ends
 * @property {import("./settings.js").Settings | null} settings  of the run that goes on
 * @property {import("./api.js").Estimate | null} estimate       of the run that goes on
 * @property {import("./api.js").Problem | null} problem         of the last run
 * @property {Result | null} result                              of the last run that succeeded
 *
 * @typedef {"idle" | "queued" | "sending" | "working" | "pausing"} Phase
 *
 * @typedef {object} Result
 * @property {import("./picture.js").Picture} picture
 * @property {import("./run-summary.js").RunSummary} run
 * @property {import("./settings.js").Settings} settings  as they were sent
 * @property {number | null} frame  as it was sent
 */

import { releasePicture } from "./picture.js";

/** A browser holds the files of all of them. */
export const MAX_ENTRIES = 50;

export class Entries {
  /** @type {Entry[]} */
  #entries = [];
  #nextId = 1;

  get all() {
    return this.#entries;
  }

  /** How many more there is room for. */
  get room() {
    return MAX_ENTRIES - this.#entries.length;
  }

  /**
   * @param {Pick<Entry, "picture" | "format" | "refusal"> & {id?: number, result?: Result}} known
   * @returns {Entry}
   */
  add({ id = this.#nextId, picture, format, refusal, result }) {
    this.#nextId = Math.max(this.#nextId, id + 1);
    /** @type {Entry} */
    const entry = {
      ...{ id, picture, format, refusal, frame: result?.frame ?? null },
      ...{ phase: "idle", part: 0, since: 0, untilMs: 0 },
      ...{ settings: null, estimate: null, problem: null, result: result ?? null },
    };
    this.#entries.push(entry);
    return entry;
  }

  /** @param {Entry} entry */
  remove(entry) {
    this.#entries = this.#entries.filter((other) => other !== entry);
    releasePicture(entry.picture);
    setResult(entry, null);
  }
}

/**
 * @param {Entry} entry
 * @param {Result | null} result
 */
export function setResult(entry, result) {
  if (entry.result !== null) releasePicture(entry.result.picture);
  entry.result = result;
}

/** @param {Entry} entry */
export function isRunning({ phase }) {
  return phase !== "idle";
}

/**
 * The pictures that a run with these settings would make: those that lack such a result, or all of
 * them again if none does.
 *
 * @param {Entry[]} entries
 * @param {import("./settings.js").Settings} settings
 * @returns {{entries: Entry[], again: boolean}}
 */
export function wanted(entries, settings) {
  const sendable = entries.filter(({ refusal }) => refusal === "");
  const key = JSON.stringify(settings);
  const made = (/** @type {Entry} */ { result, frame }) => result?.frame === frame && JSON.stringify(result.settings) === key;
  const lacking = sendable.filter((entry) => !made(entry));
  return lacking.length > 0 ? { entries: lacking, again: false } : { entries: sendable, again: sendable.length > 0 };
}

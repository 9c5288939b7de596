/** Tells how far a run is: the upload, then the time against what was expected, or the wait. */

import { expectedMs } from "./estimate.js";
import { isRunning } from "./entries.js";
import { counted, duration, runningTime } from "./units.js";

/** @typedef {import("./entries.js").Entry} Entry */

/** The upload takes the first tenth of a picture's bar. */
const UPLOAD_PART = 0.1;
/** A run that takes longer than expected never fills its bar. */
const MOST = 0.97;

/**
 * @param {Entry} entry
 * @param {number} now  performance.now()
 * @returns {number} 0 to 1
 */
export function partOf(entry, now) {
  const { phase, part, since } = entry;
  if (phase === "sending") return UPLOAD_PART * part;
  if (phase !== "working") return 0;
  const expected = expectedRunMs(entry);
  return expected === null ? UPLOAD_PART : Math.min(MOST, UPLOAD_PART + (1 - UPLOAD_PART) * ((now - since) / expected));
}

/**
 * @param {Entry} entry  in work
 * @param {number} now   performance.now()
 * @returns {string} e.g. "Sending, 40 %", "Working, 1.2 s of about 2.8 s"
 */
export function phaseText(entry, now) {
  const { phase, part, since, untilMs, settings } = entry;
  if (phase === "queued") return "Waiting";
  if (phase === "sending") return `Sending, ${Math.round(part * 100)} %`;
  if (phase === "pausing") return `The service is busy, again in ${Math.max(1, Math.ceil((untilMs - now) / 1000))} s`;
  return workingText(now - since, settings?.budgetMs ?? null, expectedRunMs(entry));
}

/** @param {Entry} entry */
function expectedRunMs({ estimate, settings }) {
  return estimate === null ? null : expectedMs(estimate, settings?.budgetMs ?? null);
}

/**
 * @param {number} spent  milliseconds
 * @param {number | null} limit     that the visitor set
 * @param {number | null} expected
 */
function workingText(spent, limit, expected) {
  if (limit !== null && spent > limit) return `Over the time limit by ${runningTime(spent - limit)}`;
  if (expected === null) return limit === null ? `Working, ${runningTime(spent)}` : `Working, ${runningTime(spent)} of at most ${duration(limit)}`;
  if (spent > expected) return `Working, ${runningTime(spent)}; a little longer than expected`;
  return `Working, ${runningTime(spent)} of about ${duration(expected)}`;
}

/**
 * @param {Entry[]} entries  of one run
 * @param {number} now
 * @returns {{text: string, part: number}}
 */
export function progressOf(entries, now) {
  const current = entries.filter(isRunning);
  const active = current.find(({ phase }) => phase !== "queued") ?? current[0];
  const ended = entries.length - current.length;
  const part = (ended + current.reduce((sum, entry) => sum + partOf(entry, now), 0)) / entries.length;
  const text = active === undefined ? "" : phaseText(active, now);
  if (entries.length === 1) return { text, part };
  return { text: `${ended} of ${counted(entries.length, "picture")} done.\n${text}`, part };
}

/** Shows the progress of a run, and counts its time. */
export class Progress {
  #text;
  #meter;
  #timer = 0;

  /**
   * @param {HTMLElement} text
   * @param {HTMLElement} meter
   */
  constructor(text, meter) {
    this.#text = text;
    this.#meter = meter;
  }

  /**
   * @param {Entry[]} entries
   * @param {() => void} onTick
   */
  start(entries, onTick) {
    this.stop();
    const tick = () => {
      this.#show(progressOf(entries, performance.now()));
      onTick();
    };
    tick();
    this.#timer = window.setInterval(tick, 100);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** @param {{text: string, part: number}} progress */
  #show({ text, part }) {
    this.#text.textContent = text;
    this.#meter.style.setProperty("--part", String(part));
    this.#meter.setAttribute("aria-valuenow", String(Math.round(part * 100)));
    this.#meter.setAttribute("aria-valuetext", text);
  }
}

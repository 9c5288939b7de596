/** Which frame of an animation, or page of a TIFF, becomes the result: a number of the picture that is shown.
 * People count from 1, the service and entries from 0. */

import { byId } from "./dom.js";
import { clamped } from "./settings.js";

/** @typedef {import("./entries.js").Entry} Entry */

/** The service's own limit; it says how many there are where one is named that is not there. */
const FRAME_RANGE = Object.freeze({ min: 1, max: 1_000_000 });
/** Name of the one format whose pictures are pages, each a still picture. */
export const PAGED = "tiff";

/**
 * @param {Entry} entry
 * @returns {boolean} whether the visitor may choose one of several; only the service knows how many there are
 */
function choosable({ format, frame, problem }) {
  return format?.name === PAGED || frame !== null || problem?.code === "animated_image";
}

/**
 * @param {import("./api.js").Format | null} format  of the picture
 * @returns {string} what one of several is called
 */
export function frameNoun(format) {
  return format?.name === PAGED ? "page" : "frame";
}

export class FrameField {
  #row = byId("frame-row", HTMLElement);
  #label = byId("frame-label", HTMLElement);
  #number = byId("frame", HTMLInputElement);

  /** @param {(frame: number) => void} onChange */
  constructor(onChange) {
    this.#number.addEventListener("change", () => {
      const frame = Math.round(clamped(this.#number.value, FRAME_RANGE, FRAME_RANGE.min));
      this.#number.value = String(frame);
      onChange(frame - 1);
    });
  }

  /** @param {Entry | null} entry  the picture that is shown; null for none */
  show(entry) {
    this.#row.hidden = entry === null || entry.refusal !== "" || !choosable(entry);
    // A number may be half typed while another picture ends.
    if (entry === null || document.activeElement === this.#number) return;
    this.#label.textContent = frameNoun(entry.format) === "page" ? "Page" : "Frame";
    this.#number.value = entry.frame === null ? "" : String(entry.frame + 1);
  }
}

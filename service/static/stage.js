/** The picture on the page: first the original, then the result with bicubic beside it. */

import { drawBicubic } from "./comparison.js";
import { Divider } from "./divider.js";
import { byId } from "./dom.js";
import { fileSize, pixels } from "./units.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./forecast.js").Picture} Picture */

/**
 * @param {File} file
 * @returns {Promise<Picture>}
 */
export async function readPicture(file) {
  const url = URL.createObjectURL(file);
  const { width, height } = await sizeOf(url);
  return { file, url, width, height };
}

/**
 * @param {string} url
 * @returns {Promise<{width: number, height: number}>} 0 x 0 if the browser cannot read it
 */
async function sizeOf(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    // Not for the browser to judge: the service may read what the browser cannot.
    return { width: 0, height: 0 };
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

export class Stage {
  #intake = byId("intake", HTMLElement);
  #view = byId("view", HTMLElement);
  #frame = byId("viewport", HTMLElement);
  #after = byId("after", HTMLImageElement);
  #canvas = byId("bicubic", HTMLCanvasElement);
  #handle = byId("divider", HTMLElement);
  #note = byId("note", HTMLElement);
  #tagAfter = byId("tag-after", HTMLElement);
  #zoom = byId("zoom", HTMLFieldSetElement);
  #comparing = new AbortController();
  #viewer;

  constructor() {
    this.#viewer = new Viewer(this.#frame, [this.#after, this.#canvas], (zoom) => this.#checkZoom(String(zoom)));
    new Divider(this.#handle, this.#frame, () => !this.#viewer.overflows);
    this.#zoom.addEventListener("change", () => {
      const value = /** @type {HTMLInputElement} */ (this.#zoom.querySelector(":checked")).value;
      this.#viewer.zoom = value === "fit" ? "fit" : Number(value);
    });
  }

  /**
   * Show a picture that was chosen; nothing to compare yet.
   *
   * @param {Picture} picture
   */
  showOriginal({ file, url, width, height }) {
    this.#intake.hidden = true;
    this.#view.hidden = false;
    this.#uncompare();
    byId("file-name", HTMLElement).textContent = file.name;
    const size = width > 0 ? `${pixels(width, height)}, ` : "";
    byId("file-size", HTMLElement).textContent = `${size}${fileSize(file.size)}`;
    this.#note.textContent = width > 0 ? "" : "This file cannot be shown here.";
    this.#show(width > 0 ? url : "", width, height, `The picture chosen, ${file.name}`);
    this.#viewer.zoom = "fit";
  }

  /** Scroll to the frame where it is out of sight, as on a phone after a run. */
  reveal() {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#frame.scrollIntoView({ block: "nearest", behavior: still ? "instant" : "smooth" });
  }

  /**
   * Show a result, and draw the bicubic enlargement beside it.
   *
   * @param {Picture} original
   * @param {{url: string, width: number, height: number, model: string}} result  0 x 0 if the
   *     browser cannot read it
   */
  async showResult(original, { url, width, height, model }) {
    this.#uncompare();
    this.#show(width > 0 ? url : "", width, height, `The result, ${pixels(width, height)} pixels`);
    this.#tagAfter.textContent = model;
    if (width === 0) this.#note.textContent = "This browser cannot show the format; the download holds the picture.";
    if (width === 0 || original.width === 0) return;
    this.#note.textContent = "Drawing the bicubic comparison";
    await this.#compare(original, width, height);
  }

  /**
   * @param {Picture} original
   * @param {number} width
   * @param {number} height
   */
  async #compare(original, width, height) {
    const { signal } = this.#comparing;
    try {
      await drawBicubic(original.file, this.#canvas, width, height, signal);
    } catch {
      if (!signal.aborted) this.#note.textContent = "The result is too large to compare in the browser.";
      return;
    }
    this.#note.textContent = "";
    this.#frame.classList.add("comparing");
    this.#handle.hidden = false;
  }

  #uncompare() {
    this.#comparing.abort();
    this.#comparing = new AbortController();
    this.#frame.classList.remove("comparing");
    this.#handle.hidden = true;
    this.#note.textContent = "";
    // Gives the pixels back: a large canvas holds hundreds of megabytes.
    this.#canvas.width = this.#canvas.height = 0;
  }

  /**
   * @param {string} url  "" for none
   * @param {number} width
   * @param {number} height
   * @param {string} words
   */
  #show(url, width, height, words) {
    this.#after.hidden = url === "";
    if (url) this.#after.src = url;
    else this.#after.removeAttribute("src");
    this.#after.alt = words;
    this.#viewer.resize(Math.max(1, width), Math.max(1, height));
  }

  /** @param {string} value */
  #checkZoom(value) {
    const choice = this.#zoom.querySelector(`[value="${value}"]`);
    if (choice instanceof HTMLInputElement) choice.checked = true;
  }
}

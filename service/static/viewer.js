/** Shows the original, then the result with the bicubic enlargement beside it. */

import { drawBicubic } from "./comparison.js";
import { Divider } from "./divider.js";
import { byId } from "./dom.js";
import { PanZoom } from "./pan-zoom.js";
import { fileSize, pixels } from "./units.js";

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./api.js").Format} Format */

const UNSEEN_RESULT = "This browser cannot show the result. Download it, or choose another format, such as PNG.";

/**
 * @param {Format | null} format  of a picture that the browser cannot show
 * @returns {string} one sentence
 */
function unseenOriginal(format) {
  if (format === null) return "This browser cannot show the file.";
  const when = format.written_as === format.name ? "a result in another format, such as PNG" : "the result";
  return `This browser cannot show ${format.label}; the preview comes with ${when}.`;
}

export class Viewer {
  #empty = byId("empty", HTMLElement);
  #view = byId("view", HTMLElement);
  #frame = byId("viewport", HTMLElement);
  #image = byId("after", HTMLImageElement);
  #canvas = byId("bicubic", HTMLCanvasElement);
  #handle = byId("divider", HTMLElement);
  #note = byId("note", HTMLElement);
  #unseen = byId("unseen", HTMLElement);
  #zoom = byId("zoom", HTMLFieldSetElement);
  #zoomValue = byId("zoom-value", HTMLElement);
  #comparison = new AbortController();
  #panZoom;

  constructor() {
    this.#panZoom = new PanZoom(this.#frame, [this.#image, this.#canvas], (zoom, percent) => this.#showZoom(zoom, percent));
    new Divider(this.#handle, this.#frame, ["bicubic", "result"], () => !this.#panZoom.overflows);
    this.#zoom.addEventListener("change", () => {
      const value = /** @type {HTMLInputElement} */ (this.#zoom.querySelector(":checked")).value;
      this.#panZoom.zoom = value === "fit" ? "fit" : Number(value);
    });
  }

  /** Show that nothing is chosen. */
  showNothing() {
    this.#endComparison();
    this.#image.removeAttribute("src");
    this.#empty.hidden = false;
    this.#view.hidden = true;
  }

  /**
   * Show a picture that was chosen, without a comparison.
   *
   * @param {Picture} picture
   * @param {Format | null} format  where it is certain
   */
  showOriginal({ file, url, visible, width, height }, format) {
    this.showSize({ file, width, height });
    this.#endComparison();
    this.#show(visible ? url : "", width, height, `The original, ${file.name}`, unseenOriginal(format));
    this.#panZoom.zoom = "fit";
  }

  /**
   * Show a result, and draw the bicubic enlargement beside it.
   *
   * @param {Picture} original
   * @param {import("./entries.js").Result} result
   */
  async showResult(original, { picture: { url, visible, width, height }, frame }) {
    this.showSize(original);
    this.#endComparison();
    this.#show(visible ? url : "", width, height, `The result, ${pixels(width, height)} pixels`, UNSEEN_RESULT);
    this.#panZoom.open();
    if (!visible || !original.visible) return;
    if (frame !== null && frame > 0) {
      this.#note.textContent = `The browser cannot show frame ${frame + 1} of the original beside it.`;
      return;
    }
    this.#note.textContent = "Drawing the picture without sharpening, for comparison";
    await this.#compare(original, width, height);
  }

  /** @param {Pick<Picture, "file" | "width" | "height">} original  whose name and size are to be shown */
  showSize({ file, width, height }) {
    this.#empty.hidden = true;
    this.#view.hidden = false;
    byId("file-name", HTMLElement).textContent = file.name;
    const size = width > 0 ? `${pixels(width, height)}, ` : "";
    byId("file-size", HTMLElement).textContent = `${size}${fileSize(file.size)}`;
  }

  /**
   * @param {Picture} original
   * @param {number} width
   * @param {number} height
   */
  async #compare(original, width, height) {
    const { signal } = this.#comparison;
    try {
      await drawBicubic(original.file, this.#canvas, width, height, signal);
    } catch {
      if (!signal.aborted) this.#note.textContent = "The result is too large to be compared in the browser.";
      return;
    }
    this.#note.textContent = "";
    this.#frame.classList.add("comparing");
    this.#handle.hidden = false;
  }

  #endComparison() {
    this.#comparison.abort();
    this.#comparison = new AbortController();
    this.#frame.classList.remove("comparing");
    this.#handle.hidden = true;
    this.#note.textContent = "";
    // Frees the pixels, which are hundreds of megabytes in a large canvas.
    this.#canvas.width = this.#canvas.height = 0;
  }

  /**
   * @param {string} url  "" for none
   * @param {number} width
   * @param {number} height
   * @param {string} description
   * @param {string} unseen  what to say without a picture
   */
  #show(url, width, height, description, unseen) {
    this.#unseen.textContent = url === "" ? unseen : "";
    this.#zoom.hidden = this.#zoomValue.hidden = url === "";
    this.#image.hidden = url === "";
    if (url) this.#image.src = url;
    else this.#image.removeAttribute("src");
    this.#image.alt = description;
    this.#panZoom.resize(Math.max(1, width), Math.max(1, height));
  }

  /**
   * @param {import("./pan-zoom.js").Zoom} zoom
   * @param {number} percent
   */
  #showZoom(zoom, percent) {
    for (const choice of this.#zoom.querySelectorAll("input")) choice.checked = choice.value === String(zoom);
    // A step that can be chosen says it itself.
    this.#zoomValue.textContent = this.#zoom.querySelector(":checked:not([value=fit])") ? "" : `${percent} %`;
  }
}

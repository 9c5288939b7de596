/** Format and quality of the file that the visitor gets. */

import { byId, element } from "./dom.js";
import { QUALITY_RANGE, clamped } from "./settings.js";

/** @typedef {import("./api.js").Format} Format */

export class FormatField {
  #format = byId("format", HTMLSelectElement);
  #quality = byId("quality", HTMLInputElement);
  #qualityRow = byId("quality-row", HTMLElement);
  /** @type {Format[]} */
  #formats = [];
  /** @type {import("./settings.js").Settings | null} */
  #settings = null;
  /** @type {Format | null} */
  #picture = null;

  /** @param {(changes: Partial<import("./settings.js").Settings>) => void} onChange */
  constructor(onChange) {
    this.#format.addEventListener("change", () => onChange({ format: this.#format.value }));
    this.#quality.addEventListener("change", () => {
      const quality = clamped(this.#quality.value, QUALITY_RANGE, null);
      onChange({ quality: quality === null ? null : Math.round(quality) });
    });
  }

  /** @param {Format[]} formats  those that the service reads */
  showFormats(formats) {
    this.#formats = formats;
    const written = formats.filter(({ name, written_as }) => name === written_as);
    const options = written.map(({ name, label }) => element("option", { value: name }, label));
    this.#format.replaceChildren(element("option", { value: "" }, "Unchanged"), ...options);
    this.#show();
  }

  /** @param {import("./settings.js").Settings} settings */
  write(settings) {
    this.#settings = settings;
    this.#quality.value = settings.quality === null ? "" : String(settings.quality);
    this.#show();
  }

  /** @param {Format | null} format  of the picture that is shown; null where it is unknown */
  showPicture(format) {
    this.#picture = format;
    this.#show();
  }

  #show() {
    if (this.#settings === null) return;
    const { format } = this.#settings;
    this.#format.value = format;
    const wanted = format || this.#picture?.written_as;
    const written = this.#formats.find(({ name }) => name === wanted);
    // A file without loss has no quality; where the format is not known yet, it may have one.
    this.#qualityRow.hidden = written?.lossy === false;
  }
}

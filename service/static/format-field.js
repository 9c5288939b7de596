/** Format of the file that the visitor gets, its quality, and what transparency becomes where it has none. */

import { byId, element } from "./dom.js";
import { QUALITY_RANGE, clamped } from "./settings.js";

/** @typedef {import("./api.js").Format} Format */

export class FormatField {
  #format = byId("format", HTMLSelectElement);
  #quality = byId("quality", HTMLInputElement);
  #qualityRow = byId("quality-row", HTMLElement);
  #background = byId("background", HTMLInputElement);
  #backgroundRow = byId("background-row", HTMLElement);
  /** @type {Format[]} */
  #formats = [];
  /** @type {import("./settings.js").Settings | null} */
  #settings = null;
  /** @type {import("./entries.js").Entry | null} */
  #entry = null;

  /** @param {(changes: Partial<import("./settings.js").Settings>) => void} onChange */
  constructor(onChange) {
    this.#format.addEventListener("change", () => onChange({ format: this.#format.value }));
    this.#quality.addEventListener("change", () => {
      const quality = clamped(this.#quality.value, QUALITY_RANGE, null);
      onChange({ quality: quality === null ? null : Math.round(quality) });
    });
    this.#background.addEventListener("change", () => onChange({ background: this.#background.value }));
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
    this.#background.value = settings.background;
    this.#show();
  }

  /** @param {import("./entries.js").Entry | null} entry  the picture that is shown; null for none */
  showPicture(entry) {
    this.#entry = entry;
    this.#show();
  }

  #show() {
    if (this.#settings === null) return;
    const { format } = this.#settings;
    this.#format.value = format;
    const wanted = format || this.#entry?.format?.written_as;
    const written = this.#formats.find(({ name }) => name === wanted);
    // A file without loss has no quality; where the format is not known yet, it may have one.
    this.#qualityRow.hidden = written?.lossy === false;
    this.#backgroundRow.hidden = written?.transparency !== false || !mayBeTransparent(this.#entry);
  }
}

/**
 * @param {import("./entries.js").Entry | null} entry
 * @returns {boolean} whether any part of the picture is transparent, or may be where the browser cannot tell
 */
function mayBeTransparent(entry) {
  return entry !== null && (entry.picture.transparent ?? entry.format?.transparency !== false);
}

/** The size of the result: a factor, or pixels of one side; each field shows what the others make of it. */

import { byId } from "./dom.js";
import { resultSize } from "./output-size.js";
import { PIXEL_RANGE, SCALE_RANGE, clamped } from "./settings.js";
import { fill } from "./slider.js";

/** @typedef {import("./settings.js").Settings} Settings */

export class SizeField {
  #slider = byId("scale", HTMLInputElement);
  #scale = byId("scale-number", HTMLInputElement);
  #sides = { width: byId("output-width", HTMLInputElement), height: byId("output-height", HTMLInputElement) };
  /** @type {Settings | null} */
  #settings = null;
  /** @type {{width: number, height: number} | null} */
  #picture = null;

  /** @param {(changes: Partial<Settings>) => void} onChange */
  constructor(onChange) {
    this.#slider.addEventListener("input", () => onChange({ by: "scale", scale: this.#slider.valueAsNumber }));
    // On "change", not on "input": while "2.5" is typed, "2" is not meant.
    this.#scale.addEventListener("change", () => {
      const scale = clamped(this.#scale.value, SCALE_RANGE, this.#settings?.scale ?? SCALE_RANGE.min);
      onChange({ by: "scale", scale: Math.round(scale * 100) / 100 });
    });
    for (const [by, field] of Object.entries(this.#sides)) {
      field.addEventListener("change", () => {
        const pixels = clamped(field.value, PIXEL_RANGE, null);
        // An emptied field means that this side follows again.
        if (pixels === null) this.#show();
        else onChange({ by, pixels: Math.round(pixels) });
      });
    }
  }

  /** @param {Settings} settings */
  write(settings) {
    this.#settings = settings;
    this.#show();
  }

  /** @param {{width: number, height: number} | null} picture  the one that is shown; null for none */
  showPicture(picture) {
    this.#picture = picture;
    this.#show();
  }

  #show() {
    const settings = this.#settings;
    if (settings === null) return;
    const size = resultSize(this.#picture ?? { width: 0, height: 0 }, settings);
    const known = size.width > 0;
    const byScale = settings.by === "scale";
    this.#scale.value = byScale || known ? String(Math.round(size.scale * 100) / 100) : "";
    this.#sides.width.value = sideText(settings, "width", size.width);
    this.#sides.height.value = sideText(settings, "height", size.height);
    this.#slider.value = String(size.scale);
    this.#slider.setAttribute("aria-valuetext", `${this.#slider.value} times`);
    fill(this.#slider);
    for (const field of [this.#scale, this.#sides.width, this.#sides.height]) {
      const chosen = field === (byScale ? this.#scale : this.#sides[/** @type {"width" | "height"} */ (settings.by)]);
      field.classList.toggle("chosen", chosen);
    }
  }
}

/**
 * @param {Settings} settings
 * @param {"width" | "height"} side
 * @param {number} pixels  0 where the picture is unknown
 */
function sideText(settings, side, pixels) {
  if (settings.by === side) return String(settings.pixels);
  return pixels > 0 ? String(pixels) : "";
}

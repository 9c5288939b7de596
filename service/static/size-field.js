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
        if (pixels === null) this.#show(null);
        else onChange({ by, pixels: Math.round(pixels) });
      });
    }
  }

  /** @param {Settings} settings */
  write(settings) {
    this.#settings = settings;
    this.#show(null);
  }

  /** @param {{width: number, height: number} | null} picture  the one that is shown; null for none */
  showPicture(picture) {
    this.#picture = picture;
    // A number may be half typed when a picture comes.
    this.#show(document.activeElement);
  }

  /** @param {Element | null} left  a field that is left as it is */
  #show(left) {
    const settings = this.#settings;
    if (settings === null) return;
    const size = resultSize(this.#picture ?? { width: 0, height: 0 }, settings);
    const known = size.width > 0;
    const byScale = settings.by === "scale";
    const scale = byScale || known ? String(Math.round(size.scale * 100) / 100) : "";
    const { width, height } = this.#sides;
    if (this.#scale !== left) this.#scale.value = scale;
    if (width !== left) width.value = sideText(settings, "width", size.width);
    if (height !== left) height.value = sideText(settings, "height", size.height);
    this.#slider.value = String(size.scale);
    this.#slider.setAttribute("aria-valuetext", `${this.#slider.value} times`);
    fill(this.#slider);
    const chosen = byScale ? this.#scale : settings.by === "width" ? width : height;
    for (const field of [this.#scale, width, height]) field.classList.toggle("chosen", field === chosen);
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

/** Fills the track of a slider up to its thumb. */

/** @param {HTMLInputElement} slider */
export function fill(slider) {
  const [min, max, value] = [slider.min, slider.max, slider.value].map(Number);
  slider.style.setProperty("--fill", String((value - min) / (max - min)));
}

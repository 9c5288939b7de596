/** Tells before anything is sent which size the result will have, and what may go wrong. */

import { resultSize } from "./output-size.js";
import { fileSize, listed, pixels } from "./units.js";

/** @typedef {import("./picture.js").Picture} Picture */

/**
 * @param {Picture} picture
 * @param {import("./settings.js").Settings} settings
 * @returns {string} e.g. "320 × 240 becomes 758 × 569 pixels."; "" where the size is unknown
 */
export function sizeSentence(picture, settings) {
  if (picture.width === 0) return "";
  const result = resultSize(picture, settings);
  return `${pixels(picture.width, picture.height)} becomes ${pixels(result.width, result.height)} pixels.`;
}

/**
 * @param {Picture} picture
 * @param {import("./api.js").Format | null} format       of the picture, where it is certain
 * @param {import("./settings.js").Settings} settings
 * @param {import("./api.js").Model | undefined} model    the one whose limits hold, if known
 * @param {import("./api.js").Limits | undefined} limits  if known
 * @returns {string[]} one sentence each
 */
export function warnings(picture, format, settings, model, limits) {
  const found = [];
  if (!picture.visible && format === null) found.push("This browser cannot show the file; the service may not be able to read it either.");
  if (limits) found.push(...inputWarnings(picture, limits), ...outputWarnings(picture, format, settings, limits));
  if (model) found.push(...scaleWarnings(resultSize(picture, settings).scale, model), ...strengthWarnings(settings.strength, model));
  return found;
}

/** @param {number} count */
function pixelCount(count) {
  return count < 1e5 ? `${count} pixels` : `${Math.round(count / 1e5) / 10} megapixels`;
}

/**
 * @param {Picture} picture
 * @param {import("./api.js").Limits} limits
 */
function inputWarnings({ file, width, height }, limits) {
  const found = [];
  if (file.size > limits.max_body_bytes) {
    found.push(`The file has ${fileSize(file.size)}; this service takes at most ${fileSize(limits.max_body_bytes)}.`);
  }
  if (width * height > limits.max_source_pixels) {
    found.push(`The picture has ${pixelCount(width * height)}; this service takes at most ${pixelCount(limits.max_source_pixels)}.`);
  }
  return found;
}

/**
 * @param {Picture} picture
 * @param {import("./api.js").Format | null} format
 * @param {import("./settings.js").Settings} settings
 * @param {import("./api.js").Limits} limits
 */
function outputWarnings(picture, format, settings, limits) {
  const { width, height } = resultSize(picture, settings);
  const [count, longest] = [width * height, Math.max(width, height)];
  if (count > limits.max_output_pixels) {
    return [`The result would have ${pixelCount(count)}; this service makes at most ${pixelCount(limits.max_output_pixels)}. Choose a smaller size.`];
  }
  const wanted = settings.format || format?.written_as;
  const chosen = limits.formats.find(({ name }) => name === wanted);
  if (chosen === undefined || longest <= chosen.max_side) return [];
  const others = limits.formats.filter(({ name, written_as, max_side }) => name === written_as && max_side >= longest).map(({ label }) => label);
  return [`${chosen.label} holds at most ${chosen.max_side} pixels a side. Choose a smaller size, or the format ${listed(others, "or")}.`];
}

/**
 * @param {number} scale
 * @param {import("./api.js").Model} model
 */
function scaleWarnings(scale, model) {
  if (scale < 1) return ["The picture is larger than that already; this service only enlarges."];
  if (scale < model.min_scale || scale > model.max_scale) {
    return [`${model.name} can only do scales from ${model.min_scale}× to ${model.max_scale}×.`];
  }
  const largest = model.trained_scales[1];
  return scale > largest ? [`${model.name} was trained up to ${largest}×; beyond that, expect softer detail.`] : [];
}

/**
 * @param {string} strength
 * @param {import("./api.js").Model} model
 */
function strengthWarnings(strength, { name, takes_strength }) {
  return Number(strength) > 0 && !takes_strength ? [`The clean-up setting has no effect on ${name}.`] : [];
}

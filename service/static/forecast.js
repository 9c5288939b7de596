/** What can be said before anything is sent: the size that will come, and what may be refused. */

import { fileSize, outputSize, pixels } from "./units.js";

/**
 * The limits that a service has unless its operator set others. The page does not know those, so
 * it warns and lets the visitor go on: the service decides.
 */
const USUAL = Object.freeze({ bodyBytes: 32 * 1024 * 1024, sourcePixels: 25e6, outputPixels: 100e6 });

/**
 * @typedef {object} Picture
 * @property {File} file
 * @property {string} url
 * @property {number} width    pixels after orientation; 0 if the browser cannot read the file
 * @property {number} height
 */

/**
 * @param {Picture} picture
 * @param {number} scale
 * @returns {string} e.g. "320 × 240 becomes 758 × 569 pixels."
 */
export function forecast({ width, height }, scale) {
  if (width === 0) return "";
  const output = pixels(outputSize(width, scale), outputSize(height, scale));
  return `${pixels(width, height)} becomes ${output} pixels.`;
}

/** @param {number} count */
const mega = (count) => `${Math.round(count / 1e5) / 10} megapixels`;

/**
 * @param {Picture} picture
 * @param {number} scale
 * @param {import("./api.js").Model | undefined} model  the one that would run, if known
 * @returns {string[]} one sentence each
 */
export function warnings({ file, width, height }, scale, model) {
  const found = [];
  if (width === 0) found.push("This browser cannot show the file; the service may not read it either.");
  if (file.size > USUAL.bodyBytes) {
    found.push(`The file has ${fileSize(file.size)}; more than ${fileSize(USUAL.bodyBytes)} is usually refused.`);
  }
  if (width * height > USUAL.sourcePixels) {
    found.push(`The picture has ${mega(width * height)}; more than ${mega(USUAL.sourcePixels)} are usually refused.`);
  }
  const output = outputSize(width, scale) * outputSize(height, scale);
  if (output > USUAL.outputPixels) {
    found.push(`The result would have ${mega(output)}; more than ${mega(USUAL.outputPixels)} are usually refused. Choose a smaller scale.`);
  }
  return model ? [...found, ...scaleWarnings(scale, model)] : found;
}

/**
 * @param {number} scale
 * @param {import("./api.js").Model} model
 */
function scaleWarnings(scale, model) {
  if (scale < model.min_scale || scale > model.max_scale) {
    return [`${model.name} offers scales from ${model.min_scale} to ${model.max_scale}.`];
  }
  const most = model.trained_scales[1];
  return scale > most ? [`${model.name} was trained up to ${most}×; beyond that expect softer detail.`] : [];
}

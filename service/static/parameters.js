/** Writes settings as the parameters of the two requests that take them. */

import { DEFAULTS } from "./settings.js";

/**
 * @param {import("./settings.js").Settings} settings
 * @param {number | null} frame  of the picture, from 0; null where none is named
 * @returns {Record<string, string>} the parameters of POST /upscale
 */
export function upscaleParameters(settings, frame) {
  const { by, scale, pixels, budgetMs, format, quality, background } = settings;
  return {
    ...common(settings),
    [by]: String(by === "scale" ? scale : pixels),
    ...(budgetMs === null ? {} : { latency_budget_ms: String(budgetMs) }),
    ...(format === "" ? {} : { format }),
    ...(quality === null ? {} : { quality: String(quality) }),
    ...(frame === null ? {} : { frame: String(frame) }),
    ...(background === DEFAULTS.background ? {} : { background: background.slice(1) }),
  };
}

/**
 * @param {{width: number, height: number}} picture
 * @param {string} pictureFormat  name of the format that the picture is in
 * @param {import("./settings.js").Settings} settings
 * @returns {string} the query of GET /estimate
 */
export function estimateQuery({ width, height }, pictureFormat, settings) {
  const { by, scale, pixels, format } = settings;
  const size = by === "scale" ? { scale: String(scale) } : { [`output_${by}`]: String(pixels) };
  const query = new URLSearchParams({
    width: String(width),
    height: String(height),
    format: pictureFormat,
    ...common(settings),
    ...size,
    ...(format === "" ? {} : { output_format: format }),
  });
  return query.toString();
}

/** @param {import("./settings.js").Settings} settings */
function common({ onMiss, model, width, strength }) {
  return {
    on_miss: onMiss,
    ...(model === "" ? {} : { model }),
    ...(width === "" ? {} : { anysr_width: width }),
    ...(strength === "" ? {} : { strength }),
  };
}

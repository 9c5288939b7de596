/** Says in plain words what became of a picture. */

import { duration, fileSize, pixels } from "./units.js";

/** @typedef {import("./entries.js").Result} Result */

/**
 * @param {Result} result
 * @returns {string} e.g. "Sharpened to 1920 × 1281 in 2.8 s"
 */
export function headline({ run, picture: { width, height } }) {
  // Plain resampling sharpens nothing.
  const verb = run.width > 0 ? "Sharpened" : "Enlarged";
  const size = width > 0 ? ` to ${pixels(width, height)}` : "";
  return `${verb}${size} in ${duration(run.elapsedMs)}`;
}

/**
 * @param {Result} result
 * @returns {string} e.g. "PNG, 4.1 MB.", and what the visitor should know before using the picture
 */
export function subline({ run, settings, picture: { file } }) {
  const kind = `${file.type.replace("image/", "").toUpperCase()}, ${fileSize(file.size)}.`;
  if (run.width === 0) return `${kind} There was no time to sharpen it: allow more.`;
  // Nobody asked for the limit that the service chose by itself.
  if (!run.met && settings.budgetMs !== null) return `${kind} It took ${duration(run.elapsedMs - run.budgetMs)} longer than the limit.`;
  return kind;
}

/** Computes the size of a result as the service does, before anything is sent. */

/**
 * Round halves to even, so that the size shown before the run is that of the result.
 *
 * @param {number} value
 */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * @param {number} size   pixels
 * @param {number} scale
 */
export function outputSize(size, scale) {
  return Math.max(1, roundHalfEven(scale * size));
}

/**
 * @param {{width: number, height: number}} picture  pixels
 * @param {import("./settings.js").Settings} settings
 * @returns {{width: number, height: number, scale: number}} pixels of the result, and output size /
 *     input size; 0 x 0 where the size of the picture is unknown
 */
export function resultSize({ width, height }, { by, scale, pixels }) {
  if (width === 0) return { width: 0, height: 0, scale };
  if (by === "scale") return { width: outputSize(width, scale), height: outputSize(height, scale), scale };
  const factor = pixels / (by === "width" ? width : height);
  return by === "width"
    ? { width: pixels, height: outputSize(height, factor), scale: factor }
    : { width: outputSize(width, factor), height: pixels, scale: factor };
}

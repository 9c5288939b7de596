/** Writes times, sizes and file names as people read them, and computes the size of a result. */

/**
 * @param {number} ms
 * @returns {string} e.g. "840 ms", "2.4 s", "60 s"
 */
export function duration(ms) {
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return `${seconds < 10 ? Math.round(seconds * 100) / 100 : Math.round(seconds * 10) / 10} s`;
}

/**
 * @param {number} bytes
 * @returns {string} e.g. "640 kB", "1.2 MB"
 */
export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${Math.round(bytes / 1000)} kB`;
  return `${Math.round(bytes / 1e5) / 10} MB`;
}

/**
 * @param {number} width
 * @param {number} height
 */
export function pixels(width, height) {
  return `${width} × ${height}`;
}

/**
 * Round as the service does, halves to even, so that the size shown before the run is that of the result.
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
 * @param {string} name       of the original, e.g. "photo.final.png"
 * @param {number} scale
 * @param {string} mediaType  of the result
 * @returns {string} e.g. "photo.final@2.37x.png"
 */
export function resultName(name, scale, mediaType) {
  const stem = name.replace(/\.[^.]{1,5}$/, "") || "picture";
  const format = mediaType.replace("image/", "");
  return `${stem}@${scale}x.${format === "jpeg" ? "jpg" : format}`;
}

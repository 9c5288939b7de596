/** Writes times, sizes and names as people read them. */

const MINUTE_S = 60;
/** Keeps a number and its unit on one line. */
const JOINED = "\u00a0";

/**
 * @param {number | string} value
 * @param {string} unit
 */
function joined(value, unit) {
  return `${value}${JOINED}${unit}`;
}

/**
 * @param {number} ms
 * @returns {string} e.g. "0.04 s", "2.8 s", "34 s", "2 min 5 s"
 */
export function duration(ms) {
  const s = ms / 1000;
  if (s < 0.095) return joined(Math.max(1, Math.round(s * 100)) / 100, "s");
  if (s < 9.95) return joined(Math.round(s * 10) / 10, "s");
  const whole = Math.round(s);
  if (whole < 2 * MINUTE_S) return joined(whole, "s");
  const rest = whole % MINUTE_S;
  return joined(Math.floor(whole / MINUTE_S), "min") + (rest > 0 ? ` ${joined(rest, "s")}` : "");
}

/**
 * @param {number} ms
 * @returns {string} for a time that goes on, whose last digit never comes and goes: e.g. "2.0 s"
 */
export function runningTime(ms) {
  return joined((ms / 1000).toFixed(1), "s");
}

/**
 * @param {number} ms
 * @returns {string} to the millisecond, for technical facts: e.g. "0.102 s"
 */
export function exactDuration(ms) {
  return joined(Math.round(ms) / 1000, "s");
}

/**
 * @param {number} bytes
 * @returns {string} e.g. "640 kB", "1.2 MB"
 */
export function fileSize(bytes) {
  if (bytes < 1000) return joined(bytes, "B");
  if (bytes < 1e6) return joined(Math.round(bytes / 1000), "kB");
  return joined(Math.round(bytes / 1e5) / 10, "MB");
}

/**
 * @param {number} width
 * @param {number} height
 */
export function pixels(width, height) {
  return [width, "×", height].join(JOINED);
}

/**
 * @param {number} count
 * @param {string} noun  in the singular
 * @returns {string} e.g. "1 picture", "3 pictures"
 */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * @param {string[]} names
 * @param {string} last  the word before the last name
 * @returns {string} e.g. "PNG, JPEG or WebP"
 */
export function listed(names, last) {
  const end = names[names.length - 1] ?? "";
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} ${last} ${end}` : end;
}

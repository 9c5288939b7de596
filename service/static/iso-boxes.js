/** The boxes of ISO base media files (ISO/IEC 14496-12, 4.2), of which HEIC and JPEG XL consist. */

import { bytesAt } from "./file-bytes.js";

/** @typedef {{kind: string, start: number, end: number}} Box  range of the content in bytes */

/** A picture has a few dozen. */
const MAX_BOXES = 4096;

/**
 * @param {DataView} head   of a box, 8 bytes, or 16 where its size needs them
 * @param {number} at       offset of the box
 * @param {number} end      of what holds it
 * @returns {Box}
 */
function boxOf(head, at, end) {
  const kind = String.fromCharCode(...new Uint8Array(head.buffer, head.byteOffset + 4, 4));
  const size = head.getUint32(0);
  const start = at + (size === 1 ? 16 : 8);
  const after = size === 0 ? end : at + (size === 1 ? Number(head.getBigUint64(8)) : size);
  if (after < start || after > end) throw new RangeError("a box that does not fit");
  return { kind, start, end: after };
}

/**
 * @param {Blob} file
 * @returns {AsyncGenerator<Box>} of the file itself; only their heads are read
 */
export async function* boxesOfFile(file) {
  for (let at = 0, left = MAX_BOXES; at < file.size && left > 0; left--) {
    const box = boxOf(await bytesAt(file, at, Math.min(16, file.size - at)), at, file.size);
    yield box;
    at = box.end;
  }
}

/**
 * @param {DataView} data
 * @param {number} start
 * @param {number} end
 * @returns {Box[]} those within a range of what was read
 */
export function boxesWithin(data, start, end) {
  const found = [];
  for (let at = start; at + 8 <= end && found.length < MAX_BOXES; at = found[found.length - 1]?.end ?? end) {
    found.push(boxOf(new DataView(data.buffer, data.byteOffset + at, Math.min(16, end - at)), at, end));
  }
  return found;
}

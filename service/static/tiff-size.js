/** The size of a page of a TIFF, from its directory (TIFF 6.0, section 2). */

import { bytesAt } from "./file-bytes.js";

/**
 * @typedef {object} Page
 * @property {number} width        pixels as stored; 0 for a directory that is no picture
 * @property {number} height
 * @property {number} orientation  1 to 8, as in EXIF
 * @property {boolean} reduced     whether it is a small copy of another page, which is not counted
 * @property {number} next         offset of the next directory, 0 for none
 */

const MAX_PAGES = 1024;
const [KIND, WIDTH, HEIGHT, ORIENTATION] = [254, 256, 257, 274];
const [BYTE, SHORT, LONG] = [1, 3, 4];

/**
 * @param {Blob} file
 * @param {number} page  from 0
 * @returns {Promise<{width: number, height: number}>} pixels, turned upright; rejects for another file,
 *     and for a page that is not there
 */
export async function tiffSize(file, page) {
  const head = await bytesAt(file, 0, 8);
  const little = head.getUint8(0) === 0x49;
  const pages = [];
  const seen = new Set([0]);
  for (let at = head.getUint32(4, little); !seen.has(at) && seen.size <= MAX_PAGES; ) {
    seen.add(at);
    const found = await directory(file, at, little).catch(() => null);
    if (found === null) break;
    if (found.width > 0 && found.height > 0) pages.push(found);
    at = found.next;
  }
  const counted = pages.filter(({ reduced }) => !reduced);
  const wanted = (counted.length > 0 ? counted : pages.slice(0, 1))[page];
  if (wanted === undefined) throw new RangeError("no such page");
  const { width, height, orientation } = wanted;
  return orientation > 4 ? { width: height, height: width } : { width, height };
}

/**
 * @param {Blob} file
 * @param {number} at
 * @param {boolean} little  whether the lowest byte comes first
 * @returns {Promise<Page>}
 */
async function directory(file, at, little) {
  const count = (await bytesAt(file, at, 2)).getUint16(0, little);
  const entries = await bytesAt(file, at + 2, 12 * count);
  /** @type {Map<number, number>} */
  const fields = new Map();
  for (let entry = 0; entry < 12 * count; entry += 12) {
    const tag = entries.getUint16(entry, little);
    if (!fields.has(tag)) fields.set(tag, value(entries, entry, little));
  }
  const next = await bytesAt(file, at + 2 + 12 * count, 4).catch(() => null);
  return {
    width: fields.get(WIDTH) ?? 0,
    height: fields.get(HEIGHT) ?? 0,
    orientation: fields.get(ORIENTATION) ?? 1,
    reduced: (fields.get(KIND) ?? 0) % 2 === 1,
    next: next?.getUint32(0, little) ?? 0,
  };
}

/**
 * @param {DataView} entries
 * @param {number} at  of an entry
 * @param {boolean} little
 * @returns {number} its number, 0 for a value of another kind
 */
function value(entries, at, little) {
  switch (entries.getUint16(at + 2, little)) {
    case BYTE:
      return entries.getUint8(at + 8);
    case SHORT:
      return entries.getUint16(at + 8, little);
    case LONG:
      return entries.getUint32(at + 8, little);
    default:
      return 0;
  }
}

/**
 * Reads the size of a picture that the browser cannot show from the header of its file, so that the size
 * and the time of the result are known before anything is sent. Little is read of a large file.
 */

import { heicSize } from "./heic-size.js";
import { jxlSize } from "./jxl-size.js";
import { tiffSize } from "./tiff-size.js";

/** @type {Readonly<Record<string, (file: Blob, page: number) => Promise<{width: number, height: number}>>>} */
const READERS = Object.freeze({ "image/heic": heicSize, "image/jxl": jxlSize, "image/tiff": tiffSize });

/**
 * @param {Blob} file
 * @param {string} mediaType  of the file
 * @param {number} page       of a TIFF, from 0
 * @returns {Promise<{width: number, height: number}>} pixels after orientation; 0 x 0 where unknown
 */
export async function statedSize(file, mediaType, page) {
  try {
    const { width, height } = (await READERS[mediaType]?.(file, page)) ?? { width: 0, height: 0 };
    const whole = [width, height].every((side) => Number.isInteger(side) && side > 0);
    return whole ? { width, height } : { width: 0, height: 0 };
  } catch {
    // The service says what is wrong with the file.
    return { width: 0, height: 0 };
  }
}

/** The size of a JPEG XL, from the first bits of its codestream (ISO/IEC 18181-1, annex D). */

import { bytesAt } from "./file-bytes.js";
import { boxesOfFile } from "./iso-boxes.js";

const SIGNATURE = 0xff0a;
/** More than signature, size and orientation take. */
const HEADER_BYTES = 16;
/** Bits of a side, by a number of two bits. */
const SIDE_BITS = [9, 13, 18, 30];
/** Width to height, from 1 on; 0 stands for a width of its own. */
const RATIOS = [[1, 1], [12, 10], [4, 3], [3, 2], [16, 9], [5, 4], [2, 1]];

/**
 * @param {Blob} file
 * @returns {Promise<{width: number, height: number}>} pixels, turned upright; rejects for another file
 */
export async function jxlSize(file) {
  const start = await codestream(file);
  const data = await bytesAt(file, start, Math.min(HEADER_BYTES, file.size - start));
  if (data.getUint16(0) !== SIGNATURE) throw new RangeError("no codestream");
  const bits = new Bits(data, 16);
  const { width, height } = size(bits);
  const plain = bits.read(1) === 1 || bits.read(1) === 0;
  const orientation = plain ? 1 : bits.read(3) + 1;
  return orientation > 4 ? { width: height, height: width } : { width, height };
}

/** @param {Blob} file */
async function codestream(file) {
  if ((await bytesAt(file, 0, 2)).getUint16(0) === SIGNATURE) return 0;
  for await (const { kind, start } of boxesOfFile(file)) {
    if (kind === "jxlc") return start;
    if (kind === "jxlp") return start + 4; // behind the number of the part
  }
  throw new RangeError("no codestream");
}

/** @param {Bits} bits */
function size(bits) {
  const small = bits.read(1) === 1;
  const side = () => (small ? 8 * (bits.read(5) + 1) : bits.read(SIDE_BITS[bits.read(2)] ?? 0) + 1);
  const height = side();
  const ratio = RATIOS[bits.read(3) - 1];
  return { height, width: ratio === undefined ? side() : Math.floor((height * (ratio[0] ?? 0)) / (ratio[1] ?? 1)) };
}

/** Numbers of bits, lowest first. */
class Bits {
  #data;
  #at;

  /**
   * @param {DataView} data
   * @param {number} at  bit to begin with
   */
  constructor(data, at) {
    this.#data = data;
    this.#at = at;
  }

  /** @param {number} count  up to 30 */
  read(count) {
    let number = 0;
    for (let i = 0; i < count; i++, this.#at++) {
      number |= ((this.#data.getUint8(this.#at >> 3) >> (this.#at & 7)) & 1) << i;
    }
    return number;
  }
}

/** The size of a HEIC, from the properties of its primary item (ISO/IEC 23008-12, 6.5 and 9.3). */

import { bytesAt } from "./file-bytes.js";
import { boxesOfFile, boxesWithin } from "./iso-boxes.js";

/** @typedef {import("./iso-boxes.js").Box} Box */

/** Bytes of the tables; those of a telephone's photographs have a few thousand. */
const MAX_TABLES = 1 << 20;

/**
 * @param {Blob} file
 * @returns {Promise<{width: number, height: number}>} pixels, cropped and turned; rejects for another file
 */
export async function heicSize(file) {
  for await (const { kind, start, end } of boxesOfFile(file)) {
    if (kind !== "meta") continue;
    if (end - start > MAX_TABLES) throw new RangeError("too large tables");
    return sizeIn(await bytesAt(file, start, end - start));
  }
  throw new RangeError("no tables");
}

/** @param {DataView} meta  the content of the box */
function sizeIn(meta) {
  const parts = boxesWithin(meta, 4, meta.byteLength);
  const properties = partOf(parts, "iprp");
  const tables = boxesWithin(meta, properties.start, properties.end);
  const container = partOf(tables, "ipco");
  const all = boxesWithin(meta, container.start, container.end);
  const numbers = associated(meta, partOf(tables, "ipma"), primaryItem(meta, partOf(parts, "pitm")));
  const own = numbers.flatMap((number) => all[number - 1] ?? []);
  const stated = partOf(own, "ispe");
  let [width, height] = [meta.getUint32(stated.start + 4), meta.getUint32(stated.start + 8)];
  const crop = own.find(({ kind }) => kind === "clap");
  if (crop) {
    width = meta.getUint32(crop.start) / meta.getUint32(crop.start + 4);
    height = meta.getUint32(crop.start + 8) / meta.getUint32(crop.start + 12);
  }
  const turn = own.find(({ kind }) => kind === "irot");
  const lies = turn !== undefined && meta.getUint8(turn.start) % 2 === 1;
  return lies ? { width: height, height: width } : { width, height };
}

/**
 * @param {Box[]} boxes
 * @param {string} wanted
 */
function partOf(boxes, wanted) {
  const found = boxes.find(({ kind }) => kind === wanted);
  if (found === undefined) throw new RangeError(`no box ${wanted}`);
  return found;
}

/**
 * @param {DataView} meta
 * @param {Box} box  "pitm"
 */
function primaryItem(meta, { start }) {
  return meta.getUint8(start) === 0 ? meta.getUint16(start + 4) : meta.getUint32(start + 4);
}

/**
 * @param {DataView} meta
 * @param {Box} box  "ipma"
 * @param {number} item
 * @returns {number[]} the numbers of its properties, from 1
 */
function associated(meta, { start, end }, item) {
  const wideItem = meta.getUint8(start) > 0;
  const wideNumber = meta.getUint8(start + 3) % 2 === 1;
  let at = start + 8;
  while (at < end) {
    const found = wideItem ? meta.getUint32(at) : meta.getUint16(at);
    at += wideItem ? 4 : 2;
    const count = meta.getUint8(at);
    const first = at + 1;
    at = first + count * (wideNumber ? 2 : 1);
    if (found !== item) continue;
    // The highest bit says that the property must be heeded.
    return Array.from({ length: count }, (_, i) => (wideNumber ? meta.getUint16(first + 2 * i) & 0x7fff : meta.getUint8(first + i) & 0x7f));
  }
  throw new RangeError("no properties");
}

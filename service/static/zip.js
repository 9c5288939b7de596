/**
 * Writes a zip archive of files as they are, for pictures are compressed already: PKWARE's APPNOTE
 * 6.3, method 0 ("stored"), names in UTF-8. The archive refers to the files' blobs; only one chunk of
 * one file is in memory at a time.
 */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF8_NAMES = 0x0800;
/** Offsets and sizes have 32 bits; a larger archive would need Zip64, which is beyond a page. */
const MAX_BYTES = 0xffffffff;
const MAX_FILES = 0xffff;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/**
 * @typedef {object} ZipFile
 * @property {string} name  without folders; no name twice
 * @property {Blob} blob
 *
 * @typedef {{file: ZipFile, name: Uint8Array<ArrayBuffer>, crc: number, offset: number}} Member
 */

/**
 * @param {Blob} blob
 * @returns {Promise<number>} CRC-32 as of ISO 3309
 */
async function crcOf(blob) {
  let crc = 0xffffffff;
  const reader = blob.stream().getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const bytes = value ?? new Uint8Array();
    // By index, for an iterator takes several times as long.
    for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** @param {Date} at  years from 1980 to 2107 */
function dosTime(at) {
  const date = ((at.getFullYear() - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate();
  const time = (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1);
  return { date, time };
}

/**
 * @param {[value: number, bytes: 2 | 4][]} fields
 * @returns {Uint8Array<ArrayBuffer>} little-endian
 */
function packed(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

/**
 * The fields that a file's two headers share.
 *
 * @param {Member} member
 * @param {Date} at
 * @returns {[number, 2 | 4][]}
 */
function shared({ file, name, crc }, at) {
  const { date, time } = dosTime(at);
  const { size } = file.blob;
  return [[VERSION, 2], [UTF8_NAMES, 2], [0, 2], [time, 2], [date, 2], [crc, 4], [size, 4], [size, 4], [name.length, 2], [0, 2]];
}

/**
 * @param {Member[]} members
 * @param {number} start  offset of the directory
 * @param {Date} at
 * @returns {Uint8Array<ArrayBuffer>[]}
 */
function directory(members, start, at) {
  const parts = members.flatMap((member) => [
    packed([[CENTRAL, 4], [VERSION, 2], ...shared(member, at), [0, 2], [0, 2], [0, 2], [0, 4], [member.offset, 4]]),
    member.name,
  ]);
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  const count = members.length;
  return [...parts, packed([[END, 4], [0, 2], [0, 2], [count, 2], [count, 2], [bytes, 4], [start, 4], [0, 2]])];
}

/**
 * @param {ZipFile[]} files
 * @param {Date} at  written as the time of every file
 * @returns {Promise<Blob>} rejects with RangeError above 4 GB or 65,535 files
 */
export async function zipped(files, at = new Date()) {
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Member[]} */
  const members = [];
  let offset = 0;
  if (files.length > MAX_FILES) throw new RangeError("too many files for one zip");
  for (const file of files) {
    const name = new TextEncoder().encode(file.name);
    const member = { file, name, crc: await crcOf(file.blob), offset };
    const head = packed([[LOCAL, 4], ...shared(member, at)]);
    parts.push(head, name, file.blob);
    members.push(member);
    offset += head.length + name.length + file.blob.size;
    if (offset > MAX_BYTES) throw new RangeError("too large for one zip");
  }
  const end = directory(members, offset, at);
  return new Blob([...parts, ...end], { type: "application/zip" });
}

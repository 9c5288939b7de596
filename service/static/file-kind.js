/**
 * Tells from the first bytes and the name of a file whether the service reads it, before anything is
 * sent. What the service reads is in its own list (`GET /models`); this table only names files.
 */

import { listed } from "./units.js";

/** @typedef {import("./api.js").Format} Format */
/** @typedef {{label: string, media_type: string, at: number, bytes: string}} Signature */

const HEAD_BYTES = 32;
const TEXT_BYTES = 512;

/**
 * What people call the kinds of files that they choose for a picture, with the bytes they begin with;
 * `?` stands for any byte. The longer of two that fit comes first.
 *
 * @type {readonly Readonly<Signature>[]}
 */
const SIGNATURES = Object.freeze([
  { label: "PNG picture", media_type: "image/png", at: 0, bytes: "\x89PNG\r\n\x1a\n" },
  { label: "JPEG picture", media_type: "image/jpeg", at: 0, bytes: "\xff\xd8\xff" },
  { label: "WebP picture", media_type: "image/webp", at: 0, bytes: "RIFF????WEBP" },
  { label: "AVIF picture", media_type: "image/avif", at: 4, bytes: "ftypavi" },
  { label: "HEIC picture", media_type: "image/heic", at: 4, bytes: "ftyphe" },
  { label: "HEIC picture", media_type: "image/heic", at: 4, bytes: "ftypmif1" },
  { label: "Canon raw photograph", media_type: "image/x-canon-cr3", at: 4, bytes: "ftypcrx" },
  { label: "film", media_type: "video/mp4", at: 4, bytes: "ftyp" },
  { label: "film", media_type: "video/webm", at: 0, bytes: "\x1aE\xdf\xa3" },
  { label: "film", media_type: "video/avi", at: 0, bytes: "RIFF????AVI " },
  { label: "JPEG XL picture", media_type: "image/jxl", at: 0, bytes: "\xff\x0a" },
  { label: "JPEG XL picture", media_type: "image/jxl", at: 4, bytes: "JXL \r\n\x87\n" },
  { label: "JPEG 2000 picture", media_type: "image/jp2", at: 4, bytes: "jP  \r\n\x87\n" },
  { label: "GIF picture", media_type: "image/gif", at: 0, bytes: "GIF8" },
  { label: "TIFF picture", media_type: "image/tiff", at: 0, bytes: "II*\0" },
  { label: "TIFF picture", media_type: "image/tiff", at: 0, bytes: "MM\0*" },
  { label: "BMP picture", media_type: "image/bmp", at: 0, bytes: "BM????\0\0\0\0" },
  { label: "icon", media_type: "image/x-icon", at: 0, bytes: "\0\0\x01\0" },
  { label: "Photoshop file", media_type: "image/vnd.adobe.photoshop", at: 0, bytes: "8BPS" },
  { label: "GIMP file", media_type: "image/x-xcf", at: 0, bytes: "gimp xcf" },
  { label: "PDF document", media_type: "application/pdf", at: 0, bytes: "%PDF" },
  { label: "zip archive", media_type: "application/zip", at: 0, bytes: "PK\x03\x04" },
]);

/**
 * @param {string} head  of the file, a character for each byte
 * @param {Readonly<Signature>} signature
 */
function fits(head, { at, bytes }) {
  return [...bytes].every((byte, i) => byte === "?" || head[at + i] === byte);
}

/** @param {Uint8Array} bytes */
function isText(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return bytes.length > 0 && !/[\0-\x08\x0e-\x1f]/.test(text);
  } catch {
    return false;
  }
}

/**
 * @param {File} file
 * @returns {Promise<{label: string, media_type: string} | null>} null for one that this table does not
 *     know; rejects if the file cannot be read
 */
async function kindOf(file) {
  const bytes = new Uint8Array(await file.slice(0, TEXT_BYTES).arrayBuffer());
  const head = String.fromCharCode(...bytes.subarray(0, HEAD_BYTES));
  const found = SIGNATURES.find((signature) => fits(head, signature));
  if (found !== undefined) return found;
  if (!isText(bytes)) return null;
  const text = new TextDecoder().decode(bytes);
  if (/<svg[\s>]/i.test(text)) return { label: "vector drawing", media_type: "image/svg+xml" };
  return { label: "text file", media_type: "text/plain" };
}

/**
 * @param {Format} format
 * @param {File} file
 */
function named({ media_type, suffixes }, { type, name }) {
  return type === media_type || suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
}

/**
 * @param {File} file
 * @param {Format[]} formats  those that the service reads
 * @returns {Promise<{format: Format | null, refusal: string}>} the format, null where it is not certain;
 *     one sentence that says why the service will not read the file, "" if it may
 */
export async function examined(file, formats) {
  if (file.size === 0) return { format: null, refusal: "The file is empty." };
  let kind;
  try {
    kind = await kindOf(file);
  } catch {
    return { format: null, refusal: "The browser cannot open this file: it may be a folder, or it was moved or changed." };
  }
  if (formats.length === 0) return { format: null, refusal: "" };
  const format = formats.find(({ media_type }) => media_type === kind?.media_type) ?? null;
  // A file of an unknown kind may be a picture of a format that this table has yet to learn.
  if (format !== null || (kind === null && formats.some((known) => named(known, file)))) return { format, refusal: "" };
  return { format: null, refusal: refusalOf(kind?.label, formats) };
}

/**
 * @param {string | undefined} label
 * @param {Format[]} formats
 */
function refusalOf(label, formats) {
  const is = label === undefined ? "This is no picture of a known format" : `This is ${article(label)} ${label}`;
  return `${is}; the service reads ${listed(formats.map((format) => format.label), "and")}.`;
}

/** @param {string} label */
function article(label) {
  return /^(AVIF|icon)/.test(label) ? "an" : "a";
}

/**
 * Tells from the first bytes and the name of a file whether the service reads it, before anything is
 * sent. What the service reads is in its own list (`GET /models`); this table only names files.
 */

import { listed } from "./units.js";

/** @typedef {import("./api.js").Format} Format */

/**
 * @typedef {object} Kind
 * @property {string} label          as people call it
 * @property {string[]} media_types  those in use for it
 *
 * @typedef {Kind & {at: number, bytes: string}} Signature  the bytes at an offset; `?` is any byte
 */

/** Enough for the brands of an ISO media file, and to tell text from bytes. */
const HEAD_BYTES = 512;

/** @type {Readonly<Kind>} */
const HEIC = { label: "HEIC picture", media_types: ["image/heic", "image/heif"] };
/** @type {Readonly<Kind>} */
const FILM = { label: "film", media_types: ["video/mp4"] };
/** @type {Readonly<Kind>} */
const TIFF = { label: "TIFF picture", media_types: ["image/tiff"] };
/** @type {Readonly<Kind>} */
const JXL = { label: "JPEG XL picture", media_types: ["image/jxl"] };
/** @type {Readonly<Kind>} */
const RAW = { label: "raw photograph", media_types: ["image/x-canon-cr2", "image/x-canon-cr3"] };

/**
 * The kinds of files that people choose for a picture. The longer of two that fit comes first.
 *
 * @type {readonly Readonly<Signature>[]}
 */
const SIGNATURES = Object.freeze([
  { label: "PNG picture", media_types: ["image/png"], at: 0, bytes: "\x89PNG\r\n\x1a\n" },
  { label: "JPEG picture", media_types: ["image/jpeg"], at: 0, bytes: "\xff\xd8\xff" },
  { label: "WebP picture", media_types: ["image/webp"], at: 0, bytes: "RIFF????WEBP" },
  { ...JXL, at: 0, bytes: "\xff\x0a" },
  { ...JXL, at: 4, bytes: "JXL \r\n\x87\n" },
  { label: "JPEG 2000 picture", media_types: ["image/jp2"], at: 4, bytes: "jP  \r\n\x87\n" },
  { label: "GIF picture", media_types: ["image/gif"], at: 0, bytes: "GIF8" },
  { ...RAW, at: 0, bytes: "II*\0????CR" },
  { ...TIFF, at: 0, bytes: "II*\0" },
  { ...TIFF, at: 0, bytes: "MM\0*" },
  { ...TIFF, at: 0, bytes: "II+\0" },
  { label: "BMP picture", media_types: ["image/bmp", "image/x-ms-bmp"], at: 0, bytes: "BM????\0\0\0\0" },
  { label: "icon", media_types: ["image/x-icon", "image/vnd.microsoft.icon"], at: 0, bytes: "\0\0\x01\0" },
  { label: "Photoshop file", media_types: ["image/vnd.adobe.photoshop"], at: 0, bytes: "8BPS" },
  { label: "GIMP file", media_types: ["image/x-xcf"], at: 0, bytes: "gimp xcf" },
  { label: "PDF document", media_types: ["application/pdf"], at: 0, bytes: "%PDF" },
  { label: "PostScript file", media_types: ["application/postscript"], at: 0, bytes: "%!PS" },
  { label: "zip archive or Office document", media_types: ["application/zip"], at: 0, bytes: "PK\x03\x04" },
  { ...FILM, at: 0, bytes: "\x1aE\xdf\xa3" },
  { ...FILM, at: 0, bytes: "RIFF????AVI " },
]);

/**
 * @param {string} head  of the file, a character for each byte
 * @param {Readonly<Signature>} signature
 */
function fits(head, { at, bytes }) {
  return [...bytes].every((byte, i) => byte === "?" || head[at + i] === byte);
}

/**
 * The kind of an ISO base media file (ISO/IEC 14496-12) by all its brands: the first one alone does not
 * tell AVIF from HEIC.
 *
 * @param {string} head
 * @returns {Kind | null} null for another file
 */
function isoKind(head) {
  if (head.slice(4, 8) !== "ftyp") return null;
  const end = [...head.slice(0, 4)].reduce((size, byte) => 256 * size + byte.charCodeAt(0), 0);
  const brands = head.slice(8, end).match(/[^]{4}/g) ?? [];
  const has = (/** @type {RegExp} */ brand) => brands.some((other) => brand.test(other));
  if (has(/^avi[fs]$/)) return { label: "AVIF picture", media_types: ["image/avif"] };
  if (has(/^crx $/)) return RAW;
  return has(/^(he[iv][cxms]|mif1|msf1)$/) ? HEIC : FILM;
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
 * @returns {Promise<Kind | null>} null for one that this table does not know; rejects if the file cannot
 *     be read
 */
async function kindOf(file) {
  const bytes = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  const head = String.fromCharCode(...bytes);
  const found = SIGNATURES.find((signature) => fits(head, signature)) ?? isoKind(head);
  if (found !== null || !isText(bytes)) return found;
  if (/<svg[\s>]/i.test(head)) return { label: "vector drawing", media_types: ["image/svg+xml"] };
  return { label: "text file", media_types: ["text/plain"] };
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
  const format = formats.find(({ media_type }) => kind?.media_types.includes(media_type)) ?? null;
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
  return /^[AEIO]/i.test(label) ? "an" : "a";
}

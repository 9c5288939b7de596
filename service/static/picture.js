/**
 * The picture that the visitor chose, or the one that the service made of it.
 *
 * @typedef {object} Picture
 * @property {File} file
 * @property {string} url      object URL of `file`
 * @property {string} thumb    data URL of a small copy; "" if the browser cannot read the file
 * @property {boolean} visible whether the browser can show the file
 * @property {number} width    pixels after orientation; 0 where unknown
 * @property {number} height
 * @property {boolean | null} transparent  whether any part is; null if the browser cannot read the file
 */

import { statedSize } from "./stated-size.js";

/** Twice the side at which a thumbnail is shown, for screens with small pixels. */
const THUMB_SIDE = 96;
/** Place of the opacity among the four values of a pixel. */
const ALPHA = 3;

/**
 * @param {File} file
 * @param {string} mediaType  by its first bytes, which a file's own type may not be
 * @returns {Promise<Picture>} whoever drops it calls `releasePicture`
 */
export async function readPicture(file, mediaType = file.type) {
  const url = URL.createObjectURL(file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    // This is no error: the service may read what the browser cannot.
    return { file, url, thumb: "", visible: false, ...(await statedSize(file, mediaType, 0)), transparent: null };
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  return { file, url, visible: true, width, height, ...thumbnailOf(image) };
}

/**
 * A file that nobody will read, as large as it may be.
 *
 * @param {File} file
 * @returns {Picture}
 */
export function unreadPicture(file) {
  return { file, url: "", thumb: "", visible: false, width: 0, height: 0, transparent: null };
}

/** @param {Picture} picture */
export function releasePicture({ url }) {
  URL.revokeObjectURL(url);
}

/**
 * @param {HTMLImageElement} image  decoded, so that no list decodes the large picture again
 * @returns {{thumb: string, transparent: boolean | null}} transparency is looked for in the small copy
 */
function thumbnailOf(image) {
  const factor = Math.min(1, THUMB_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * factor));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * factor));
  const context = canvas.getContext("2d");
  if (context === null) return { thumb: "", transparent: null };
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { thumb: canvas.toDataURL(), transparent: data.some((value, at) => at % 4 === ALPHA && value < 255) };
}

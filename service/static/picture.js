/**
 * The picture that the visitor chose, or the one that the service made of it.
 *
 * @typedef {object} Picture
 * @property {File} file
 * @property {string} url      object URL of `file`
 * @property {string} thumb    data URL of a small copy; "" if the browser cannot read the file
 * @property {number} width    pixels after orientation; 0 if the browser cannot read the file
 * @property {number} height
 */

/** Twice the side at which a thumbnail is shown, for screens with small pixels. */
const THUMB_SIDE = 96;

/**
 * @param {File} file
 * @returns {Promise<Picture>} whoever drops it calls `releasePicture`
 */
export async function readPicture(file) {
  const url = URL.createObjectURL(file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    // This is no error: the service may read what the browser cannot.
    return { file, url, thumb: "", width: 0, height: 0 };
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  return { file, url, thumb: thumbnailOf(image), width, height };
}

/**
 * A file that nobody will read, as large as it may be.
 *
 * @param {File} file
 * @returns {Picture}
 */
export function unreadPicture(file) {
  return { file, url: "", thumb: "", width: 0, height: 0 };
}

/** @param {Picture} picture */
export function releasePicture({ url }) {
  URL.revokeObjectURL(url);
}

/** @param {HTMLImageElement} image  decoded, so that no list decodes the large picture again */
function thumbnailOf(image) {
  const factor = Math.min(1, THUMB_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * factor));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * factor));
  const context = canvas.getContext("2d");
  if (context === null) return "";
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL();
}

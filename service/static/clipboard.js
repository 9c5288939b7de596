/** Copies a picture to the clipboard, which takes PNG alone in every browser. */

const PNG = "image/png";

/** Whether this browser can; pages that came over plain HTTP from another machine cannot. */
export const canCopy = typeof ClipboardItem !== "undefined" && typeof navigator.clipboard?.write === "function";

/**
 * @param {Blob} picture
 * @returns {Promise<Blob>} rejects if the browser cannot read it, or cannot make so large a canvas
 */
async function asPng(picture) {
  if (picture.type === PNG) return picture;
  const bitmap = await createImageBitmap(picture);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: PNG });
}

/**
 * @param {Blob} picture
 * @returns {Promise<void>} rejects if it cannot be copied
 */
export function copyPicture(picture) {
  // The conversion is handed over as a promise: the right to write lasts only as long as the click.
  return navigator.clipboard.write([new ClipboardItem({ [PNG]: asPng(picture) })]);
}

/** Decodes and enlarges a picture on a thread of its own, so that the page stays responsive. */

import { bicubicBands } from "./bicubic.js";

/** @param {Blob} picture */
async function pixelsOf(picture) {
  const bitmap = await createImageBitmap(picture);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas for a picture of this size");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** @param {MessageEvent<{picture: Blob, width: number, height: number}>} event */
async function enlarge({ data: { picture, width, height } }) {
  try {
    const source = await pixelsOf(picture);
    for (const band of bicubicBands(source, width, height)) {
      self.postMessage({ band }, { transfer: [band.data.buffer] });
    }
    self.postMessage({ done: true });
  } catch (error) {
    self.postMessage({ failed: String(error) });
  }
}

self.addEventListener("message", enlarge);

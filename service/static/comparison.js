/** Draws the bicubic enlargement of a picture on a canvas, band by band as the worker sends them. */

/** The canvas of a larger picture would take more than 256 MB. */
export const MAX_PIXELS = 64e6;

/**
 * The pixels are only written and read back, which is fastest in ordinary memory.
 *
 * @param {HTMLCanvasElement} canvas
 */
function contextOf(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true });
}

/**
 * Size a canvas; false if the browser cannot make it so large, in which case it would silently stay
 * empty.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
function resized(canvas, width, height) {
  canvas.width = width;
  canvas.height = height;
  const context = contextOf(canvas);
  if (context === null) return false;
  context.fillRect(0, 0, 1, 1);
  const works = context.getImageData(0, 0, 1, 1).data[3] === 255;
  context.clearRect(0, 0, 1, 1);
  return works;
}

/**
 * Fill `canvas` with `picture` at width x height.
 *
 * @param {Blob} picture
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {AbortSignal} signal
 * @returns {Promise<void>} rejects if the browser cannot, or when aborted
 */
export function drawBicubic(picture, canvas, width, height, signal) {
  if (width * height > MAX_PIXELS || !resized(canvas, width, height)) {
    return Promise.reject(new RangeError("too large to compare in a browser"));
  }
  const context = /** @type {CanvasRenderingContext2D} */ (contextOf(canvas));
  const worker = new Worker(new URL("./bicubic-worker.js", import.meta.url), { type: "module" });
  const drawn = new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    worker.addEventListener("error", () => reject(new Error("the comparison failed")));
    worker.addEventListener("message", ({ data }) => {
      if (data.band) context.putImageData(new ImageData(data.band.data, width), 0, data.band.y);
      else if (data.done) resolve(undefined);
      else reject(new Error(data.failed));
    });
  });
  worker.postMessage({ picture, width, height });
  return drawn.finally(() => worker.terminate());
}

/**
 * Bicubic resampling with Keys' kernel, a = -0.5 (Catmull-Rom): what upscalers are compared with.
 *
 * Agrees with Pillow's BICUBIC to one grey level: separable, columns first, eight bits between
 * the passes, and weights that are normalised again where the kernel leaves the picture. The
 * browser's own smoothing is bilinear or blurrier, so it would be no fair comparison.
 */

const A = -0.5;
const SUPPORT = 2;
const TAPS = 4;
const BAND_PIXELS = 1 << 20;

/**
 * @typedef {object} Pixels
 * @property {number} width
 * @property {number} height
 * @property {Uint8ClampedArray} data  RGBA, straight alpha
 *
 * @typedef {object} Band
 * @property {number} y                first row
 * @property {number} rows
 * @property {Uint8ClampedArray} data  RGBA, straight alpha
 *
 * @typedef {object} Axis
 * @property {Int32Array} start        first input pixel of each output pixel
 * @property {Float64Array} weights    TAPS for each output pixel; 0 where the kernel is cut off
 */

/** @param {number} distance */
function kernel(distance) {
  const x = Math.abs(distance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * A;
  return 0;
}

/**
 * @param {number} inputs
 * @param {number} outputs  not fewer than `inputs`
 * @returns {Axis}
 */
function axisWeights(inputs, outputs) {
  if (inputs < 1 || outputs < inputs) throw new RangeError("only enlarging is defined");
  const start = new Int32Array(outputs);
  const weights = new Float64Array(outputs * TAPS);
  for (let i = 0; i < outputs; i++) {
    const centre = ((i + 0.5) * inputs) / outputs;
    const first = Math.max(0, Math.floor(centre - SUPPORT + 0.5));
    const stop = Math.min(inputs, Math.floor(centre + SUPPORT + 0.5));
    let sum = 0;
    for (let j = first; j < stop; j++) sum += kernel(j + 0.5 - centre);
    for (let j = first; j < stop; j++) weights[i * TAPS + j - first] = kernel(j + 0.5 - centre) / sum;
    start[i] = first;
  }
  return { start, weights };
}

/**
 * Resample rows `top` to `bottom` of a picture along x.
 *
 * @param {Pixels} source
 * @param {Axis} columns
 * @param {number} top
 * @param {number} bottom
 */
function resampleAlongX(source, columns, top, bottom) {
  const outputs = columns.start.length;
  const wide = new Uint8ClampedArray((bottom - top) * outputs * 4);
  const last = source.width - 1;
  for (let y = top, o = 0; y < bottom; y++) {
    for (let x = 0; x < outputs; x++) {
      let r = 0, g = 0, b = 0, a = 0;
      for (let t = 0; t < TAPS; t++) {
        const weight = columns.weights[x * TAPS + t];
        const i = (y * source.width + Math.min(last, columns.start[x] + t)) * 4;
        r += weight * source.data[i];
        g += weight * source.data[i + 1];
        b += weight * source.data[i + 2];
        a += weight * source.data[i + 3];
      }
      wide[o++] = r;
      wide[o++] = g;
      wide[o++] = b;
      wide[o++] = a;
    }
  }
  return wide;
}

/**
 * Resample along y what was resampled along x.
 *
 * @param {Uint8ClampedArray} wide  its first row is input row `top`
 * @param {number} stride           bytes of a row
 * @param {Axis} rows
 * @param {number} top
 * @param {number} y                first output row
 * @param {number} count
 */
function resampleAlongY(wide, stride, rows, top, y, count) {
  const band = new Uint8ClampedArray(count * stride);
  const last = wide.length / stride - 1;
  for (let i = 0; i < count; i++) {
    const start = rows.start[y + i] - top;
    const [w0, w1, w2, w3] = rows.weights.subarray((y + i) * TAPS, (y + i + 1) * TAPS);
    const r0 = Math.min(last, start) * stride;
    const r1 = Math.min(last, start + 1) * stride;
    const r2 = Math.min(last, start + 2) * stride;
    const r3 = Math.min(last, start + 3) * stride;
    for (let x = 0, o = i * stride; x < stride; x++, o++) {
      band[o] = w0 * wide[r0 + x] + w1 * wide[r1 + x] + w2 * wide[r2 + x] + w3 * wide[r3 + x];
    }
  }
  return band;
}

/** @param {Uint8ClampedArray} data */
function isOpaque(data) {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

/**
 * Multiply colours by their alpha, so that hidden colours do not bleed into visible ones.
 *
 * @param {Uint8ClampedArray} data
 */
function premultiplied(data) {
  const out = new Uint8ClampedArray(data);
  for (let i = 0; i < out.length; i += 4) {
    for (let c = 0; c < 3; c++) out[i + c] = (data[i + c] * data[i + 3]) / 255;
  }
  return out;
}

/** @param {Uint8ClampedArray} data  changed in place */
function unpremultiply(data) {
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] || 1;
    for (let c = 0; c < 3; c++) data[i + c] = (data[i + c] * 255) / alpha;
  }
}

/**
 * Enlarge a picture band by band: the caller can draw each band at once, and stop after any.
 *
 * @param {Pixels} source
 * @param {number} width   not below the source's
 * @param {number} height  not below the source's
 * @returns {Generator<Band>}
 */
export function* bicubicBands(source, width, height) {
  const columns = axisWeights(source.width, width);
  const rows = axisWeights(source.height, height);
  const opaque = isOpaque(source.data);
  const plain = opaque
    ? source
    : { width: source.width, height: source.height, data: premultiplied(source.data) };
  const depth = Math.max(1, Math.floor(BAND_PIXELS / width));
  for (let y = 0; y < height; y += depth) {
    const count = Math.min(depth, height - y);
    const top = rows.start[y];
    const bottom = Math.min(source.height, rows.start[y + count - 1] + TAPS);
    const wide = resampleAlongX(plain, columns, top, bottom);
    const data = resampleAlongY(wide, width * 4, rows, top, y, count);
    if (!opaque) unpremultiply(data);
    yield { y, rows: count, data };
  }
}

/**
 * Enlarge a picture in one go.
 *
 * @param {Pixels} source
 * @param {number} width
 * @param {number} height
 * @returns {Pixels}
 */
export function bicubic(source, width, height) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (const band of bicubicBands(source, width, height)) data.set(band.data, band.y * width * 4);
  return { width, height, data };
}

/** Draws a test picture with fine detail that shows how good an upscaler is. */

const WIDTH = 288;
const HEIGHT = 192;
/** The picture is drawn larger and averaged, which softens edges as a lens does. */
const OVERSAMPLING = 4;

/** @typedef {CanvasRenderingContext2D} Context */

/** @param {Context} c */
function sky(c) {
  const dusk = c.createLinearGradient(0, 0, 0, HEIGHT);
  for (const [at, colour] of /** @type {[number, string][]} */ ([[0, "#15324a"], [0.45, "#5d7f8f"], [0.68, "#e8b98a"], [1, "#f4dcc0"]])) {
    dusk.addColorStop(at, colour);
  }
  c.fillStyle = dusk;
  c.fillRect(0, 0, WIDTH, HEIGHT);
  c.fillStyle = "#fff3d6";
  c.beginPath();
  c.arc(206, 104, 15, 0, 2 * Math.PI);
  c.fill();
}

/**
 * Draw one ridge as a sum of sines: without chance, so that the picture is the same each time.
 *
 * @param {Context} c
 * @param {number} base
 * @param {number} height
 * @param {number} phase
 * @param {string} colour
 */
function ridge(c, base, height, phase, colour) {
  c.fillStyle = colour;
  c.beginPath();
  c.moveTo(0, HEIGHT);
  for (let x = 0; x <= WIDTH; x++) {
    const wave = Math.sin(x / 31 + phase) + 0.5 * Math.sin(x / 13 + 2 * phase) + 0.2 * Math.sin(x / 4 + phase);
    c.lineTo(x, base - height * wave);
  }
  c.lineTo(WIDTH, HEIGHT);
  c.fill();
}

/** @param {Context} c */
function mast(c) {
  c.strokeStyle = "#16222a";
  c.lineWidth = 1;
  c.beginPath();
  for (let y = 84; y < 148; y += 8) {
    const half = (y - 76) / 8;
    c.moveTo(150 - half, y);
    c.lineTo(150 + half + 1, y + 8);
    c.moveTo(150 + half, y);
    c.lineTo(150 - half - 1, y + 8);
  }
  c.moveTo(150, 76);
  c.lineTo(141, 148);
  c.moveTo(150, 76);
  c.lineTo(159, 148);
  for (const sag of [0, 5]) {
    c.moveTo(150, 84 + sag);
    c.quadraticCurveTo(225, 106 + sag, WIDTH, 90 + sag);
  }
  c.stroke();
}

/** @param {Context} c */
function star(c) {
  const spokes = 36;
  c.fillStyle = "#f5f1e8";
  c.beginPath();
  c.arc(52, 52, 38, 0, 2 * Math.PI);
  c.fill();
  c.fillStyle = "#14202b";
  for (let i = 0; i < spokes; i++) {
    const angle = (2 * Math.PI * i) / spokes;
    c.beginPath();
    c.moveTo(52, 52);
    c.arc(52, 52, 36, angle, angle + Math.PI / spokes);
    c.fill();
  }
}

/** @param {Context} c */
function text(c) {
  c.fillStyle = "#fdfaf2";
  c.textBaseline = "alphabetic";
  c.font = "600 22px Georgia, 'Times New Roman', serif";
  c.fillText("Any scale", 110, 36);
  c.font = "11px Georgia, 'Times New Roman', serif";
  c.fillText("in the time you have: 2.37×", 111, 54);
  c.font = "7px Georgia, 'Times New Roman', serif";
  c.fillText("The quick brown fox jumps over the lazy dog", 111, 66);
}

/** @param {Context} c */
function houses(c) {
  for (const [x, width, height] of [[12, 26, 30], [42, 18, 42], [64, 30, 24], [232, 22, 34], [258, 20, 22]]) {
    c.fillStyle = "#101a21";
    c.fillRect(x, HEIGHT - height, width, height);
    c.fillStyle = "#ffd98a";
    for (let wy = HEIGHT - height + 4; wy < HEIGHT - 4; wy += 6) {
      for (let wx = x + 3; wx < x + width - 3; wx += 5) if ((wx * 7 + wy * 3) % 4) c.fillRect(wx, wy, 2, 3);
    }
  }
}

/**
 * @param {number} factor
 * @returns {[HTMLCanvasElement, Context]}
 */
function canvas(factor) {
  const made = document.createElement("canvas");
  made.width = WIDTH * factor;
  made.height = HEIGHT * factor;
  return [made, /** @type {Context} */ (made.getContext("2d"))];
}

/** @returns {Promise<File>} a PNG */
export async function drawSample() {
  const [large, c] = canvas(OVERSAMPLING);
  c.scale(OVERSAMPLING, OVERSAMPLING);
  sky(c);
  ridge(c, 132, 9, 0.4, "#6c7f86");
  ridge(c, 150, 8, 2.1, "#3c5460");
  mast(c);
  ridge(c, 170, 7, 4.2, "#1f333d");
  houses(c);
  star(c);
  text(c);
  const [small, shrunk] = canvas(1);
  shrunk.imageSmoothingQuality = "high";
  shrunk.drawImage(large, 0, 0, WIDTH, HEIGHT);
  const blob = await new Promise((resolve) => small.toBlob(resolve, "image/png"));
  return new File([blob], "test-picture.png", { type: "image/png" });
}

/** Zooms and pans a picture in a frame, and keeps its two layers aligned. */

const KEY_STEP = 40;
const ZOOM_STEPS = [1, 2, 4];

/** @typedef {"fit" | number} Zoom  a number is device pixels per picture pixel */

export class PanZoom {
  #frame;
  #layers;
  #onZoom;
  #width = 1;
  #height = 1;
  /** @type {Zoom} */
  #zoom = "fit";
  // The point in the middle of the frame, as fractions of the picture; it survives resizing.
  #centre = { x: 0.5, y: 0.5 };

  /**
   * @param {HTMLElement} frame
   * @param {HTMLElement[]} layers
   * @param {(zoom: Zoom) => void} onZoom
   */
  constructor(frame, layers, onZoom) {
    this.#frame = frame;
    this.#layers = layers;
    this.#onZoom = onZoom;
    new ResizeObserver(() => this.#layOut()).observe(frame);
    frame.addEventListener("pointerdown", (event) => this.#startPan(event));
    frame.addEventListener("keydown", (event) => this.#key(event));
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /**
   * Set the size of the picture in pixels; the point in the middle of the frame stays.
   *
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    this.#width = width;
    this.#height = height;
    this.#layOut();
  }

  /** @param {Zoom} zoom */
  set zoom(zoom) {
    this.#zoom = zoom;
    this.#layOut();
    this.#onZoom(zoom);
  }

  /** Whether the picture is shown larger than its frame. */
  get overflows() {
    const { width, height } = this.#shownSize();
    return width > this.#frame.clientWidth + 1 || height > this.#frame.clientHeight + 1;
  }

  #shownSize() {
    const pixel = 1 / (window.devicePixelRatio || 1);
    const { clientWidth, clientHeight } = this.#frame;
    // A small picture is not enlarged to fit, because the browser would have to invent pixels.
    const fit = Math.min(clientWidth / this.#width, clientHeight / this.#height, 1);
    const factor = this.#zoom === "fit" ? fit : this.#zoom * pixel;
    return { width: this.#width * factor, height: this.#height * factor };
  }

  #layOut() {
    const { width, height } = this.#shownSize();
    const x = this.#place("x", width, this.#frame.clientWidth);
    const y = this.#place("y", height, this.#frame.clientHeight);
    for (const layer of this.#layers) {
      layer.style.width = `${width}px`;
      layer.style.height = `${height}px`;
      layer.style.transform = `translate(${x}px, ${y}px)`;
      // Enlarged on the screen, pixels stay squares: the browser must add no smoothing.
      layer.classList.toggle("pixelated", this.#zoom !== "fit" && this.#zoom > 1);
    }
    this.#frame.classList.toggle("can-pan", this.overflows);
  }

  /**
   * @param {"x" | "y"} axis
   * @param {number} size   of the picture on the screen
   * @param {number} frame
   */
  #place(axis, size, frame) {
    if (size <= frame) return Math.round((frame - size) / 2);
    const half = frame / 2 / size;
    this.#centre[axis] = Math.min(1 - half, Math.max(half, this.#centre[axis]));
    return Math.round(frame / 2 - this.#centre[axis] * size);
  }

  /**
   * Move the picture under the frame, in CSS pixels.
   *
   * @param {number} dx
   * @param {number} dy
   */
  #pan(dx, dy) {
    const { width, height } = this.#shownSize();
    this.#centre.x -= dx / width;
    this.#centre.y -= dy / height;
    this.#layOut();
  }

  /** @param {PointerEvent} event */
  #startPan(event) {
    if (event.button !== 0 || event.defaultPrevented || !this.overflows) return;
    event.preventDefault();
    this.#frame.focus({ preventScroll: true });
    this.#frame.setPointerCapture(event.pointerId);
    const stop = new AbortController();
    let { clientX, clientY } = event;
    const move = (/** @type {PointerEvent} */ next) => {
      this.#pan(next.clientX - clientX, next.clientY - clientY);
      ({ clientX, clientY } = next);
    };
    this.#frame.addEventListener("pointermove", move, { signal: stop.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      this.#frame.addEventListener(end, () => stop.abort(), { signal: stop.signal });
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#frame || event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => this.#pan(KEY_STEP, 0),
      ArrowRight: () => this.#pan(-KEY_STEP, 0),
      ArrowUp: () => this.#pan(0, KEY_STEP),
      ArrowDown: () => this.#pan(0, -KEY_STEP),
      "+": () => this.#step(1),
      "=": () => this.#step(1),
      "-": () => this.#step(-1),
      0: () => (this.zoom = "fit"),
    };
    const arrow = event.key.startsWith("Arrow");
    if (!(event.key in actions) || (arrow && !this.overflows)) return;
    event.preventDefault();
    actions[event.key]();
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    // The wheel alone scrolls the page; with Ctrl it zooms, as in most viewers.
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.#step(event.deltaY < 0 ? 1 : -1);
  }

  /** @param {1 | -1} direction */
  #step(direction) {
    const at = this.#zoom === "fit" ? -1 : ZOOM_STEPS.indexOf(this.#zoom);
    const next = Math.min(ZOOM_STEPS.length - 1, at + direction);
    this.zoom = next < 0 ? "fit" : ZOOM_STEPS[next];
  }
}

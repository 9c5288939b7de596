/** Zooms and pans a picture in a frame, and keeps its two layers aligned. */

import { followDrag } from "./drag.js";
import { Pinch } from "./pinch.js";

const KEY_STEP = 40;
const ZOOM_STEPS = [1, 2, 4];
const MOST_ZOOM = 16;
/** A notch of a wheel has 100 to 120 pixels: about a fifth larger or smaller. */
const WHEEL_RATE = 0.0018;
const LINE_PX = 18;
/** Zooms that differ by less are one: steps of a wheel do not end exactly where they began. */
const TOLERANCE = 1e-3;

/** @typedef {"fit" | number} Zoom  a number is device pixels per picture pixel */
/** @typedef {{x: number, y: number}} Point */

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
   * @param {(zoom: Zoom, percent: number) => void} onZoom
   */
  constructor(frame, layers, onZoom) {
    this.#frame = frame;
    this.#layers = layers;
    this.#onZoom = onZoom;
    new ResizeObserver(() => this.#layOut()).observe(frame);
    // Before any other listener for pointers, for it decides whether they see the event.
    new Pinch(frame, (factor, middle, moved) => this.#pinch(factor, middle, moved));
    frame.addEventListener("pointerdown", (event) => this.#startPan(event));
    frame.addEventListener("keydown", (event) => this.#key(event));
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("dblclick", (event) => this.#toggle(event));
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

  /** Show the middle of the picture: at 100 % if it is larger than the frame, else whole. */
  open() {
    this.#centre = { x: 0.5, y: 0.5 };
    this.zoom = this.#fitZoom < 1 ? 1 : "fit";
  }

  /** @param {Zoom} zoom */
  set zoom(zoom) {
    this.#zoom = zoom;
    this.#layOut();
  }

  /** Whether the picture is shown larger than its frame. */
  get overflows() {
    const { width, height } = this.#shownSize();
    return width > this.#frame.clientWidth + 1 || height > this.#frame.clientHeight + 1;
  }

  /** Device pixels per picture pixel at which the whole picture is seen. */
  get #fitZoom() {
    const { clientWidth, clientHeight } = this.#frame;
    // A small picture is not enlarged to fit, because the browser would have to invent pixels.
    return Math.min(clientWidth / this.#width, clientHeight / this.#height, 1) * ratio();
  }

  get #shownZoom() {
    return this.#zoom === "fit" ? this.#fitZoom : this.#zoom;
  }

  #shownSize() {
    const factor = this.#shownZoom / ratio();
    return { width: this.#width * factor, height: this.#height * factor };
  }

  #layOut() {
    const { width, height } = this.#shownSize();
    const { x, y } = this.#place(width, height);
    for (const layer of this.#layers) {
      layer.style.width = `${width}px`;
      layer.style.height = `${height}px`;
      layer.style.transform = `translate(${x}px, ${y}px)`;
      // Enlarged on the screen, pixels stay squares: the browser must add no smoothing.
      layer.classList.toggle("pixelated", this.#shownZoom > 1 && this.#zoom !== "fit");
    }
    this.#frame.classList.toggle("can-pan", this.overflows);
    this.#onZoom(this.#zoom, Math.round(100 * this.#shownZoom));
  }

  /**
   * @param {number} width   of the picture on the screen
   * @param {number} height
   * @returns {Point} its corner in the frame
   */
  #place(width, height) {
    const { clientWidth, clientHeight } = this.#frame;
    return { x: this.#placeAxis("x", width, clientWidth), y: this.#placeAxis("y", height, clientHeight) };
  }

  /**
   * @param {"x" | "y"} axis
   * @param {number} size
   * @param {number} frame
   */
  #placeAxis(axis, size, frame) {
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

  /**
   * Zoom, and keep the point of the picture that is under a point of the window.
   *
   * @param {Zoom} zoom
   * @param {Point} at  CSS pixels of the window
   */
  #zoomAbout(zoom, at) {
    const box = this.#frame.getBoundingClientRect();
    const held = { x: at.x - box.left, y: at.y - box.top };
    const before = this.#shownSize();
    const corner = this.#place(before.width, before.height);
    const fraction = { x: (held.x - corner.x) / before.width, y: (held.y - corner.y) / before.height };
    this.#zoom = zoom;
    const after = this.#shownSize();
    this.#centre = {
      x: fraction.x + (this.#frame.clientWidth / 2 - held.x) / after.width,
      y: fraction.y + (this.#frame.clientHeight / 2 - held.y) / after.height,
    };
    this.#layOut();
  }

  /**
   * @param {number} factor
   * @returns {Zoom} within the limits
   */
  #zoomBy(factor) {
    const least = this.#fitZoom;
    const next = Math.min(Math.max(MOST_ZOOM, least), this.#shownZoom * factor);
    return next <= least * (1 + TOLERANCE) ? "fit" : next;
  }

  /** @param {PointerEvent} event */
  #startPan(event) {
    if (event.button !== 0 || event.defaultPrevented || !this.overflows) return;
    event.preventDefault();
    this.#frame.focus({ preventScroll: true });
    let { clientX, clientY } = event;
    followDrag(this.#frame, event, (next) => {
      this.#pan(next.clientX - clientX, next.clientY - clientY);
      ({ clientX, clientY } = next);
    });
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
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1);
    // A browser sends the pinch of a touchpad as a wheel with Ctrl, in much smaller steps.
    const zoom = this.#zoomBy(Math.exp(-pixels * WHEEL_RATE * (event.ctrlKey ? 5 : 1)));
    // At its ends the zoom leaves the wheel to the page, so that nobody gets stuck over the picture.
    if (zoom === this.#zoom && !event.ctrlKey) return;
    event.preventDefault();
    this.#zoomAbout(zoom, { x: event.clientX, y: event.clientY });
  }

  /**
   * @param {number} factor
   * @param {Point} middle
   * @param {Point} moved
   */
  #pinch(factor, middle, moved) {
    this.#pan(moved.x, moved.y);
    this.#zoomAbout(this.#zoomBy(factor), middle);
  }

  /**
   * Between the whole picture and 100 %, or 200 % of one that is whole at 100 %.
   *
   * @param {MouseEvent} event
   */
  #toggle(event) {
    const close = this.#fitZoom < 1 ? 1 : 2 * ratio();
    this.#zoomAbout(this.#zoom === "fit" ? close : "fit", { x: event.clientX, y: event.clientY });
  }

  /** @param {1 | -1} direction */
  #step(direction) {
    const shown = this.#shownZoom;
    const larger = ZOOM_STEPS.filter((step) => step > shown * (1 + TOLERANCE));
    const smaller = ZOOM_STEPS.filter((step) => step < shown * (1 - TOLERANCE) && step > this.#fitZoom);
    if (direction > 0) this.zoom = larger[0] ?? this.#zoom;
    else this.zoom = smaller.pop() ?? "fit";
  }
}

/** Device pixels per CSS pixel. */
function ratio() {
  return window.devicePixelRatio || 1;
}

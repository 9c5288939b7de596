/** Recognises two fingers on a frame, and tells how they spread and move. */

/** Sent to the frame when the second finger comes down: whatever the first one did ends. */
export const PINCH_START = "pinchstart";

/** @typedef {{x: number, y: number}} Point  CSS pixels of the window */

export class Pinch {
  /** @type {Map<number, Point>} */
  #fingers = new Map();
  #frame;
  #onPinch;

  /**
   * @param {HTMLElement} frame
   * @param {(factor: number, middle: Point, moved: Point) => void} onPinch  `moved` is the way of the
   *     middle since the last call
   */
  constructor(frame, onPinch) {
    this.#frame = frame;
    this.#onPinch = onPinch;
    // In the capture phase, before the listeners of divider and pan.
    frame.addEventListener("pointerdown", (event) => this.#down(event), { capture: true });
    frame.addEventListener("pointermove", (event) => this.#move(event), { capture: true });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
      frame.addEventListener(end, ({ pointerId }) => this.#fingers.delete(pointerId), { capture: true });
    }
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.pointerType !== "touch") return;
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.#fingers.size < 2) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.#frame.dispatchEvent(new Event(PINCH_START));
    this.#frame.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#fingers.has(event.pointerId)) return;
    const before = this.#measure();
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = this.#measure();
    if (before === null || after === null) return;
    event.stopImmediatePropagation();
    const moved = { x: after.middle.x - before.middle.x, y: after.middle.y - before.middle.y };
    this.#onPinch(after.distance / before.distance, after.middle, moved);
  }

  /** Middle and distance of two fingers; null unless there are exactly two. */
  #measure() {
    const [a, b, ...others] = [...this.#fingers.values()];
    if (b === undefined || others.length > 0) return null;
    const distance = Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
    return { distance, middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } };
  }
}

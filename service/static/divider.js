/** Moves the divider between two pictures, one over the other, by pointer, touch and keys; assistive tools see a slider. */

import { followDrag } from "./drag.js";

const STEP = 1;
const LARGE_STEP = 10;

export class Divider {
  #handle;
  #frame;
  #canDragAnywhere;
  #names;
  #value = 50;

  /**
   * @param {HTMLElement} handle
   * @param {HTMLElement} frame
   * @param {[left: string, right: string]} names  of the two pictures
   * @param {() => boolean} canDragAnywhere  whether a press beside the handle moves it, too
   */
  constructor(handle, frame, names, canDragAnywhere) {
    this.#handle = handle;
    this.#frame = frame;
    this.#names = names;
    this.#canDragAnywhere = canDragAnywhere;
    handle.addEventListener("keydown", (event) => this.#key(event));
    // In the capture phase, before PanZoom's listener, which ignores what this one has handled.
    frame.addEventListener("pointerdown", (event) => this.#grab(event), { capture: true });
    this.value = 50;
  }

  /** Percent of the frame that shows the left picture. */
  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = Math.min(100, Math.max(0, value));
    const whole = Math.round(this.#value);
    this.#frame.style.setProperty("--split", String(this.#value / 100));
    this.#handle.setAttribute("aria-valuenow", String(whole));
    const [left, right] = this.#names;
    this.#handle.setAttribute("aria-valuetext", `${whole} % ${left}, ${100 - whole} % ${right}`);
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    const onHandle = this.#handle.contains(/** @type {Node} */ (event.target));
    if (event.button !== 0 || this.#handle.hidden || !(onHandle || this.#canDragAnywhere())) return;
    event.preventDefault();
    this.#handle.focus({ preventScroll: true });
    this.#frame.classList.add("dividing");
    const before = this.#value;
    this.#moveTo(event.clientX);
    followDrag(
      this.#frame,
      event,
      ({ clientX }) => this.#moveTo(clientX),
      (pinched) => {
        this.#frame.classList.remove("dividing");
        if (pinched) this.value = before;
      },
    );
  }

  /** @param {number} clientX */
  #moveTo(clientX) {
    const { left, width } = this.#frame.getBoundingClientRect();
    this.value = ((clientX - left) / width) * 100;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = event.shiftKey ? LARGE_STEP : STEP;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowLeft: this.#value - step,
      ArrowDown: this.#value - step,
      ArrowRight: this.#value + step,
      ArrowUp: this.#value + step,
      PageDown: this.#value - LARGE_STEP,
      PageUp: this.#value + LARGE_STEP,
      Home: 0,
      End: 100,
    };
    if (!(event.key in targets)) return;
    event.preventDefault();
    this.value = targets[event.key];
  }
}

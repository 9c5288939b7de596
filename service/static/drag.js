/** Follows a pointer from its press to its release, also outside the element. */

import { PINCH_START } from "./pinch.js";

/**
 * @param {HTMLElement} frame
 * @param {PointerEvent} press
 * @param {(event: PointerEvent) => void} onMove
 * @param {(pinched: boolean) => void} onEnd  `pinched`: a second finger came down, so that the first one
 *     meant something else
 */
export function followDrag(frame, press, onMove, onEnd = () => undefined) {
  const stop = new AbortController();
  const { signal } = stop;
  frame.setPointerCapture(press.pointerId);
  frame.addEventListener("pointermove", onMove, { signal });
  for (const end of ["pointerup", "pointercancel", PINCH_START]) {
    const finish = () => {
      stop.abort();
      onEnd(end === PINCH_START);
    };
    frame.addEventListener(end, finish, { signal });
  }
}

/** Shows whether the service is ready, and keeps that up to date. */

import { fetchReady } from "./api.js";

const PERIOD_MS = 5000;

const WORDS = Object.freeze({ ready: "Ready", warming: "Warming up", unreachable: "Not reachable" });

/** @returns {Promise<keyof typeof WORDS>} */
async function currentState() {
  try {
    return (await fetchReady()) ? "ready" : "warming";
  } catch {
    return "unreachable";
  }
}

/** @param {HTMLElement} status */
export function watchHealth(status) {
  const check = async () => {
    if (document.hidden) return;
    const state = await currentState();
    // This is a live region: a screen reader would read it out each time that it is written.
    if (status.dataset.state === state) return;
    status.dataset.state = state;
    status.textContent = WORDS[state];
  };
  check();
  window.setInterval(check, PERIOD_MS);
  document.addEventListener("visibilitychange", check);
}

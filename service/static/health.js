/** Shows whether the service is ready, and keeps that up to date. */

import { fetchReady } from "./api.js";

const PERIOD_MS = 5000;

const WORDS = Object.freeze({ ready: "Ready", warming: "Warming up", unreachable: "Not reachable" });

/** @returns {Promise<{state: keyof typeof WORDS, workers: number}>} */
async function current() {
  try {
    const workers = await fetchReady();
    return { state: workers > 0 ? "ready" : "warming", workers };
  } catch {
    return { state: "unreachable", workers: 0 };
  }
}

/**
 * @param {HTMLElement} status
 * @param {(workers: number) => void} onWorkers  how many are ready, each time that it is known
 */
export function watchHealth(status, onWorkers) {
  const check = async () => {
    if (document.hidden) return;
    const { state, workers } = await current();
    onWorkers(workers);
    // This is a live region: a screen reader would read it out each time that it is written.
    if (status.dataset.state === state) return;
    status.dataset.state = state;
    status.textContent = WORDS[state];
  };
  check();
  window.setInterval(check, PERIOD_MS);
  document.addEventListener("visibilitychange", check);
}

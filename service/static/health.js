/** Keeps an eye on the service, and says whether it is ready. */

import { fetchReady } from "./api.js";

const PERIOD_MS = 5000;

/** @type {Record<string, string>} */
const WORDS = { ready: "Ready", warming: "Warming up", away: "Not reachable" };

/** @param {HTMLElement} sign */
export function watchHealth(sign) {
  const look = async () => {
    if (document.hidden) return;
    const state = await fetchReady().then((ready) => (ready ? "ready" : "warming"), () => "away");
    // Written only on change: it is a live region, and would be read out each time.
    if (sign.dataset.state === state) return;
    sign.dataset.state = state;
    sign.textContent = WORDS[state];
  };
  look();
  window.setInterval(look, PERIOD_MS);
  document.addEventListener("visibilitychange", look);
}

/**
 * A link that opens the page with the same settings: they are in its fragment, which browsers send to no
 * server, and it has those alone that differ from the defaults.
 */

import { byId } from "./dom.js";
import { DEFAULTS, sanitized } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

const LABEL = "Link to these settings";
const SHOWN_MS = 3000;

/**
 * @param {Settings} settings
 * @returns {string}  with its "#"
 */
export function fragmentOf(settings) {
  const changed = Object.entries(settings).filter(([name, value]) => value !== Object(DEFAULTS)[name]);
  // A link to the defaults names one of them, so that it replaces what the browser remembers.
  if (changed.length === 0) changed.push(["scale", settings.scale]);
  return `#${new URLSearchParams(changed.map(([name, value]) => [name, String(value)]))}`;
}

/**
 * Read the settings of a fragment, which anybody may have written.
 *
 * @param {string} fragment
 * @returns {Settings | null}  null if it has none
 */
export function settingsOf(fragment) {
  const given = Object.fromEntries(new URLSearchParams(fragment.slice(1)));
  return Object.keys(given).some((name) => name in DEFAULTS) ? sanitized(given) : null;
}

/** The link, whose click shows it in the address field and copies it where the browser can. */
export class SettingsLink {
  #link = byId("settings-link", HTMLAnchorElement);
  #timer = 0;

  /** @param {(settings: Settings) => void} onSettings  called with those of a link that is opened here */
  constructor(onSettings) {
    this.#link.addEventListener("click", () => this.#copy());
    window.addEventListener("hashchange", () => {
      const settings = settingsOf(location.hash);
      if (settings !== null && location.hash !== this.#link.hash) onSettings(settings);
    });
  }

  /**
   * Lead to these settings. An address with others would bring those back at a reload.
   *
   * @param {Settings} settings
   */
  show(settings) {
    this.#link.href = fragmentOf(settings);
    const stale = settingsOf(location.hash) !== null && location.hash !== this.#link.hash;
    if (stale) history.replaceState(null, "", location.pathname + location.search);
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#link.href);
      this.#say("Link copied");
    } catch {
      this.#say("The link is in the address field");
    }
    this.#timer = window.setTimeout(() => this.#say(LABEL), SHOWN_MS);
  }

  /** @param {string} words */
  #say(words) {
    clearTimeout(this.#timer);
    this.#link.textContent = words;
  }
}

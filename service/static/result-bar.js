/** The result in one line above the picture: the headline, Download and Copy. */

import { canCopy, copyPicture } from "./clipboard.js";
import { byId, reveal } from "./dom.js";
import { headline, subline } from "./headline.js";

const COPY = "Copy";
const SHOWN_MS = 3000;

export class ResultBar {
  #host = byId("result", HTMLElement);
  #headline = byId("headline", HTMLElement);
  #subline = byId("subline", HTMLElement);
  #download = byId("download", HTMLAnchorElement);
  #copy = byId("copy", HTMLButtonElement);
  /** @type {import("./entries.js").Result | null} */
  #result = null;
  #timer = 0;

  constructor() {
    this.#copy.hidden = !canCopy;
    this.#copy.addEventListener("click", () => this.#copyResult());
  }

  /** @param {import("./entries.js").Result | null} result  null for none */
  show(result) {
    if (result === this.#result) return;
    this.#result = result;
    this.#host.hidden = result === null;
    this.#sayCopy(COPY);
    if (result === null) return;
    const { url, file } = result.picture;
    this.#headline.textContent = headline(result);
    this.#subline.textContent = subline(result);
    this.#download.href = url;
    this.#download.download = file.name;
  }

  /**
   * Bring the result into sight.
   *
   * @param {boolean} focus  whether Download gets the focus
   */
  reveal(focus) {
    reveal(this.#host);
    if (focus) this.#download.focus({ preventScroll: true });
  }

  async #copyResult() {
    if (this.#result === null) return;
    try {
      await copyPicture(this.#result.picture.file);
      this.#sayCopy("Copied");
    } catch {
      this.#sayCopy("Cannot copy");
    }
    this.#timer = window.setTimeout(() => this.#sayCopy(COPY), SHOWN_MS);
  }

  /** @param {string} words */
  #sayCopy(words) {
    clearTimeout(this.#timer);
    this.#copy.textContent = words;
  }
}

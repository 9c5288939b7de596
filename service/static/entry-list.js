/** The list of several pictures: how far each one is, and what is wrong with those that failed. */

import { byId, element, reveal } from "./dom.js";
import { isRunning } from "./entries.js";
import { frameNoun } from "./frame-field.js";
import { partOf, phaseText } from "./progress.js";
import { problemWords } from "./problems.js";
import { counted, duration, fileSize, pixels } from "./units.js";

/** @typedef {import("./entries.js").Entry} Entry */

/**
 * @typedef {object} ListActions
 * @property {(entry: Entry) => void} show
 * @property {(entry: Entry) => void} remove
 */

/** @param {Entry} entry */
export function stateOf(entry) {
  if (isRunning(entry)) return entry.phase;
  if (entry.refusal !== "" || entry.problem !== null) return "failed";
  return entry.result === null ? "idle" : "done";
}

/**
 * @param {Entry} entry
 * @param {number} now  performance.now()
 */
function wordsOf(entry, now) {
  const { picture, refusal, problem, result } = entry;
  if (isRunning(entry)) return phaseText(entry, now);
  if (refusal !== "") return refusal;
  if (problem !== null) return problemWords(problem);
  if (result !== null) return `Done: ${frameWords(entry, result)}${doneWords(result)}`;
  const size = fileSize(picture.file.size);
  return picture.width > 0 ? `${pixels(picture.width, picture.height)}, ${size}` : size;
}

/**
 * @param {Entry} entry
 * @param {import("./entries.js").Result} result
 * @returns {string} e.g. "frame 1, "; "" for a file with one picture
 */
function frameWords({ format }, { frame }) {
  return frame === null ? "" : `${frameNoun(format)} ${frame + 1}, `;
}

/** @param {import("./entries.js").Result} result */
function doneWords({ run, picture: { file, width, height } }) {
  const size = width > 0 ? pixels(width, height) : fileSize(file.size);
  return `${size}, ${duration(run.elapsedMs)}`;
}

/**
 * What stands for a file that the browser cannot show: its suffix.
 *
 * @param {string} name
 */
function thumbOf(name) {
  const [, suffix] = /\.([^.]{1,4})$/.exec(name) ?? ["", ""];
  return element("span", { class: "thumb", "aria-hidden": "true" }, suffix.toUpperCase());
}

/** One picture of the list; its elements stay, so that the focus does. */
class Row {
  #entry;
  #text = element("span", { class: "entry-text" });
  #meter = element("span", { class: "entry-meter", "aria-hidden": "true" });
  #show;
  element;

  /**
   * @param {Entry} entry
   * @param {ListActions} actions
   */
  constructor(entry, actions) {
    this.#entry = entry;
    const { thumb, file } = entry.picture;
    const image = thumb ? element("img", { src: thumb, alt: "", class: "thumb" }) : thumbOf(file.name);
    const name = element("span", { class: "entry-name" }, file.name);
    this.#show = element("button", { type: "button", class: "entry-show" }, image, name, this.#text, this.#meter);
    this.#show.addEventListener("click", () => actions.show(entry));
    const remove = element("button", { type: "button", class: "entry-remove", "aria-label": `Remove ${file.name}` }, "×");
    remove.addEventListener("click", () => actions.remove(entry));
    this.element = element("li", { class: "entry" }, this.#show, remove);
  }

  /**
   * @param {Entry | null} shown
   * @param {number} now
   */
  update(shown, now) {
    const entry = this.#entry;
    const words = wordsOf(entry, now);
    this.element.dataset.state = stateOf(entry);
    if (this.#text.textContent !== words) this.#text.textContent = words;
    this.#meter.style.setProperty("--part", String(partOf(entry, now)));
    if (entry === shown) this.#show.setAttribute("aria-current", "true");
    else this.#show.removeAttribute("aria-current");
  }
}

export class EntryList {
  #host = byId("list", HTMLElement);
  #items = byId("entries", HTMLElement);
  #count = byId("list-count", HTMLElement);
  #zip = byId("download-all", HTMLButtonElement);
  /** @type {Map<Entry, Row>} */
  #rows = new Map();
  #actions;

  /** @param {ListActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * @param {Entry[]} entries
   * @param {Entry | null} shown
   */
  update(entries, shown) {
    this.#host.hidden = entries.length < 2;
    if (this.#host.hidden) this.#rows.clear();
    if (this.#host.hidden) return this.#items.replaceChildren();
    for (const [entry, row] of this.#rows) if (!entries.includes(entry)) this.#drop(entry, row);
    for (const entry of entries) this.#rowOf(entry).update(shown, performance.now());
    const states = entries.map(stateOf);
    const count = (/** @type {string} */ state) => states.filter((other) => other === state).length;
    const words = countWords(entries.length, count("done"), count("failed"));
    // This is a live region: a screen reader would read it out each time that it is written.
    if (this.#count.textContent !== words) this.#count.textContent = words;
    this.#zip.disabled = !entries.some(({ result }) => result !== null);
  }

  /**
   * Bring the head of the list into sight.
   *
   * @param {boolean} focus  whether the zip's button gets the focus
   */
  reveal(focus) {
    reveal(this.#zip);
    if (focus) this.#zip.focus({ preventScroll: true });
  }

  /** @param {Entry} entry */
  #rowOf(entry) {
    let row = this.#rows.get(entry);
    if (row === undefined) {
      row = new Row(entry, this.#actions);
      this.#rows.set(entry, row);
      this.#items.append(row.element);
    }
    return row;
  }

  /**
   * @param {Entry} entry
   * @param {Row} row
   */
  #drop(entry, row) {
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    if (row.element.contains(document.activeElement)) next?.querySelector("button")?.focus();
    row.element.remove();
    this.#rows.delete(entry);
  }
}

/**
 * @param {number} all
 * @param {number} done
 * @param {number} failed
 */
function countWords(all, done, failed) {
  const words = done > 0 ? `${done} of ${counted(all, "picture")} done` : counted(all, "picture");
  return failed > 0 ? `${words}, ${failed} failed` : words;
}

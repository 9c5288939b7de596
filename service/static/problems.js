/** Says in plain words what went wrong, and offers the one thing that helps. */

import { element } from "./dom.js";
import { duration } from "./units.js";

/** @type {Record<string, [title: string, advice: string]>} */
const WORDS = {
  empty_body: ["The file is empty", "Choose another picture."],
  corrupt_image: ["The picture is damaged", "It could not be decoded to its end. Save it anew, or choose another one."],
  unsupported_image: ["This is not a picture that can be read", "Choose a PNG, JPEG, WebP or AVIF file."],
  animated_image: ["Animations are not supported", "Choose a still picture, or export a single frame."],
  body_too_large: ["The file is too large", "Choose a smaller file, or save it with stronger compression."],
  image_too_large: ["The picture has too many pixels", "Choose a smaller picture, or crop it."],
  output_too_large: ["The result would be too large", "Ask for a smaller scale, or for a format that holds it."],
  invalid_request: ["The service cannot do this", "Change the settings named below."],
  unknown_model: ["This model is gone", "Choose another model."],
  unknown_width: ["This width is gone", "Choose another width, or Auto."],
  budget_infeasible: ["The time budget is too small", "Even the fastest way that your settings allow takes longer."],
  quality_infeasible: ["This picture cannot become so good", "Ask for less quality, or for a smaller scale."],
  overloaded: ["The service is busy", "More pictures wait than it can take on."],
  not_ready: ["The service is still warming up", "No worker is ready yet."],
  deadline_exceeded: ["Time ran out", "Allow more time, or choose to have late pictures sent anyway."],
  job_cancelled: ["Cancelled", "The service withdrew this picture. You can start it again."],
  worker_lost: ["The picture could not be made", "Every worker that tried it broke off. A smaller picture or scale may work."],
  internal_error: ["The service failed", "This is a fault of the service, not of your picture. Try again."],
  unreadable_file: ["The file cannot be read", "It may be a folder, or have been moved or changed. Choose it again."],
  unreachable: ["The service does not answer", "Check your connection, then try again."],
};

const RETRYABLE = new Set(["deadline_exceeded", "job_cancelled", "worker_lost", "internal_error", "unreachable"]);
const WAITABLE = new Set(["overloaded", "not_ready"]);
const TICK_MS = 250;

/**
 * @typedef {object} Remedies
 * @property {() => void} again               run with the settings as they are
 * @property {(budget: number) => void} withBudget  set a budget in milliseconds, and run
 */

/** The place where problems are shown: one at a time. */
export class ProblemPanel {
  #host;
  #remedies;
  #timer = 0;

  /**
   * @param {HTMLElement} host
   * @param {Remedies} remedies
   */
  constructor(host, remedies) {
    this.#host = host;
    this.#remedies = remedies;
  }

  clear() {
    clearInterval(this.#timer);
    this.#host.hidden = true;
    this.#host.replaceChildren();
  }

  /** @param {import("./api.js").Problem} problem */
  show(problem) {
    this.clear();
    const [title, advice] = WORDS[problem.code] ?? ["Something went wrong", "Try again."];
    this.#host.append(element("h2", {}, title), element("p", {}, advice));
    if (problem.code !== "unreachable") this.#host.append(element("p", { class: "detail" }, problem.message));
    const remedy = this.#remedy(problem);
    if (remedy) this.#host.append(remedy);
    if (problem.requestId) {
      this.#host.append(element("p", { class: "reference" }, `Reference ${problem.requestId}`));
    }
    this.#host.hidden = false;
    this.#host.scrollIntoView({ block: "nearest" });
  }

  /** @param {import("./api.js").Problem} problem */
  #remedy({ code, smallestMs, retryAfterS }) {
    if (code === "budget_infeasible" && smallestMs > 0) {
      const budget = Math.ceil(smallestMs);
      return this.#button(`Try with ${duration(budget)}`, () => this.#remedies.withBudget(budget));
    }
    if (WAITABLE.has(code)) return this.#countdown(retryAfterS > 0 ? retryAfterS : 2);
    return RETRYABLE.has(code) ? this.#button("Try again", this.#remedies.again) : null;
  }

  /**
   * @param {string} label
   * @param {() => void} act
   */
  #button(label, act) {
    const button = element("button", { type: "button", class: "button wide" }, label);
    button.addEventListener("click", act);
    return button;
  }

  /** @param {number} seconds */
  #countdown(seconds) {
    const button = /** @type {HTMLButtonElement} */ (this.#button("", this.#remedies.again));
    const end = performance.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      if (left <= 0) clearInterval(this.#timer);
    };
    tick();
    this.#timer = window.setInterval(tick, TICK_MS);
    return button;
  }
}

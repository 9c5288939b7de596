/** Explains in plain words what went wrong, and offers the one thing that helps. */

import { element, reveal } from "./dom.js";
import { duration } from "./units.js";

/**
 * Title and advice by error code: every code that the service can answer to this page, and two that
 * arise in the browser.
 *
 * @type {Readonly<Record<string, [title: string, advice: string]>>}
 */
export const WORDS = Object.freeze({
  empty_body: ["The file is empty", "Choose another picture."],
  corrupt_image: ["The picture is damaged", "It could not be read to its end. Save it again, or choose another one."],
  unsupported_image: ["The service cannot read this file", "Save it in another format, such as PNG or JPEG, or choose another picture."],
  animated_image: ["The picture is an animation", "The result is a still picture, made of one of its frames: of the first, or of the one that you name under “Frame”."],
  decoding_too_long: ["The picture takes too long to read", "Save it again, without “progressive”, or in another format."],
  body_too_large: ["The file is too large", "Choose a smaller file, or save it with stronger compression."],
  image_too_large: ["The picture has too many pixels", "Choose a smaller picture, or crop it."],
  output_too_large: ["The result would be too large", "Choose a smaller scale, or another format or quality."],
  invalid_request: ["These settings do not work", "Change what is named below."],
  unknown_model: ["This model is no longer available", "Choose another model."],
  model_not_trained: ["This model cannot run yet", "Nobody has trained it for this service. Choose another model."],
  unknown_width: ["This network width is no longer available", "Choose another width, or Automatic."],
  budget_infeasible: ["The time limit is too short", "Even the fastest way that your settings allow takes longer."],
  unauthorized: ["The service needs a key", "Enter your key above, then try again."],
  model_not_allowed: ["Your key does not allow this model", "Choose another model, or Automatic."],
  rate_limited: ["That was too fast", "Your key allows fewer requests at once. Try again in a moment."],
  quota_exceeded: ["Today’s pixels are used up", "Your key allows no more of this size until midnight UTC. A smaller scale may fit."],
  share_exceeded: ["The service is busy", "Others use their share of it, and yours is full. Try again in a moment."],
  too_many_jobs: ["Too many pictures are waiting", "Your key allows no more at once. Try again in a moment."],
  overloaded: ["The service is busy", "It has as many pictures as it can finish in time. Try again in a moment."],
  not_ready: ["Not ready yet", "The service is still starting, or still loading the model that you chose."],
  deadline_exceeded: ["Time ran out", "Allow more time, or set “If time runs out” to “Send anyway”."],
  job_cancelled: ["Cancelled", "The service cancelled this picture. You can start it again."],
  worker_lost: ["The picture could not be made", "The service tried several times and broke off each time. A smaller picture or scale may work."],
  data_loss: ["The picture was lost", "What the service had kept of it was damaged. Try again."],
  internal_error: ["The service failed", "This is the fault of the service, not of your picture. Try again."],
  unreadable_file: ["The file cannot be read", "It may be a folder, or it was moved or changed. Choose it again."],
  unreachable: ["The service does not answer", "Check your connection, then try again."],
});

const RETRYABLE = new Set(["unauthorized", "deadline_exceeded", "job_cancelled", "worker_lost", "data_loss", "internal_error", "unreachable"]);
const WAITABLE = new Set(["overloaded", "rate_limited", "too_many_jobs", "share_exceeded", "not_ready"]);
const TICK_MS = 250;

/**
 * @param {import("./api.js").Problem} problem
 * @returns {[title: string, advice: string]}
 */
function wordsOf({ code }) {
  return WORDS[code] ?? ["Something went wrong", "Try again."];
}

/**
 * @param {import("./api.js").Problem} problem
 * @returns {string} title and advice, for a place with room for a line
 */
export function problemWords(problem) {
  const [title, advice] = wordsOf(problem);
  return `${title}. ${advice}`;
}

/**
 * What the service says, for people: they count from 1, callers of the service from 0.
 *
 * @param {import("./api.js").Problem} problem
 */
function detailOf({ message, frames }) {
  if (!(frames > 0)) return message;
  return frames === 1 ? "This file has one picture: number 1." : `This file has ${frames} pictures; choose one from 1 to ${frames}.`;
}

/**
 * @typedef {object} Remedies
 * @property {() => void} retry                                run with the settings as they are
 * @property {() => void} retryWithFirstFrame                  take the first frame of the animation, and run
 * @property {(budgetMs: number) => void} retryWithBudget       set the budget, and run
 */

/** Shows one problem at a time. */
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

  /**
   * Say that a file cannot be sent.
   *
   * @param {string} name
   * @param {string} refusal  one sentence
   */
  refuse(name, refusal) {
    this.clear();
    this.#host.append(element("h2", {}, `${name} cannot be used`), element("p", {}, refusal));
    this.#host.hidden = false;
    reveal(this.#host);
  }

  /**
   * @param {import("./api.js").Problem} problem
   * @param {boolean} offersFrame  whether the first frame may be taken instead
   */
  show(problem, offersFrame) {
    this.clear();
    const [title, advice] = wordsOf(problem);
    this.#host.append(element("h2", {}, title), element("p", {}, advice));
    // What the service says of frames is how its callers name one; the button does.
    if (problem.code !== "unreachable" && !offersFrame) this.#host.append(element("p", { class: "detail" }, detailOf(problem)));
    const remedy = offersFrame ? this.#button("Use the first frame", this.#remedies.retryWithFirstFrame) : this.#remedy(problem);
    if (remedy) this.#host.append(remedy);
    if (problem.requestId) {
      this.#host.append(element("p", { class: "reference" }, `Reference ${problem.requestId}`));
    }
    this.#host.hidden = false;
    reveal(this.#host);
  }

  /** @param {import("./api.js").Problem} problem */
  #remedy({ code, smallestMs, retryAfterS }) {
    if (code === "budget_infeasible" && smallestMs > 0) {
      const budget = Math.ceil(smallestMs);
      return this.#button(`Try with ${duration(budget)}`, () => this.#remedies.retryWithBudget(budget));
    }
    if (WAITABLE.has(code)) return this.#countdown(retryAfterS > 0 ? retryAfterS : 2);
    return RETRYABLE.has(code) ? this.#button("Try again", this.#remedies.retry) : null;
  }

  /**
   * @param {string} label
   * @param {() => void} act
   */
  #button(label, act) {
    const button = element("button", { type: "button", class: "button" }, label);
    button.addEventListener("click", act);
    return button;
  }

  /** @param {number} seconds */
  #countdown(seconds) {
    const button = /** @type {HTMLButtonElement} */ (this.#button("", this.#remedies.retry));
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

/** Shows the facts of a run: the sentence, the budget, the stages, the download. */

import { element } from "./dom.js";
import { reasonSentence, strengthSentence } from "./facts.js";
import { duration, fileSize, pixels } from "./units.js";

/**
 * @typedef {object} Outcome
 * @property {import("./facts.js").Facts} facts
 * @property {string} strength   as it was asked for, "" for automatic
 * @property {boolean | undefined} cleans  whether the model can clean up, where that is known
 * @property {number} width      pixels
 * @property {number} height     pixels
 * @property {Blob} picture
 * @property {string} url        of `picture`
 * @property {string} name       to save it under
 */

/**
 * @param {string} name
 * @param {number} part  of the whole, 0 to 1
 */
function piece(name, part) {
  const made = element("span", { class: `piece piece-${name}` });
  made.style.setProperty("--part", String(Math.max(0, part)));
  return made;
}

/** @param {Outcome} outcome */
function budgetBar({ facts }) {
  const whole = Math.max(facts.budgetMs, facts.elapsedMs);
  const bar = element("div", { class: "bar budget-bar", "data-met": String(facts.met), "aria-hidden": "true" });
  bar.append(piece("elapsed", facts.elapsedMs / whole));
  const marks = [["predicted", facts.predictedMs], ["limit", facts.budgetMs]];
  for (const [name, ms] of /** @type {[string, number][]} */ (marks)) {
    const mark = element("span", { class: `mark mark-${name}` });
    mark.style.setProperty("--at", String(Math.min(1, ms / whole)));
    bar.append(mark);
  }
  return bar;
}

/** @param {Outcome} outcome */
function verdict({ facts }) {
  const over = duration(Math.max(0, facts.elapsedMs - facts.budgetMs));
  const word = facts.met ? "Budget met" : `Budget missed by ${over}`;
  return element(
    "p",
    { class: "verdict" },
    element("strong", { "data-met": String(facts.met) }, word),
    ` ${duration(facts.elapsedMs)} of ${duration(facts.budgetMs)}; ${duration(facts.predictedMs)} predicted.`,
  );
}

/** @param {import("./facts.js").Stage[]} stages */
function stageBar(stages) {
  const total = stages.reduce((sum, { ms }) => sum + ms, 0) || 1;
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const legend = element("ul", { class: "legend" });
  for (const { name, ms } of stages) {
    bar.append(piece(name, ms / total));
    const dot = element("span", { class: `dot piece-${name}`, "aria-hidden": "true" });
    legend.append(element("li", {}, dot, `${name} `, element("span", { class: "quiet" }, duration(ms))));
  }
  return element("div", { class: "stages" }, element("h3", {}, "Where the time went"), bar, legend);
}

/**
 * @param {string} term
 * @param {string} value
 * @param {string} more
 */
function fact(term, value, more) {
  return element(
    "div",
    {},
    element("dt", {}, term),
    element("dd", {}, value, " ", element("span", { class: "quiet" }, more)),
  );
}

/** @param {Outcome} outcome */
function numbers({ facts, width, height, picture }) {
  const type = picture.type.replace("image/", "").toUpperCase();
  const list = element("dl", { class: "numbers" });
  list.append(fact("Output", `${pixels(width, height)} px`, `${type}, ${fileSize(picture.size)}`));
  if (facts.expectedDb !== null) {
    const range = facts.expectedRange && `; four of five such pictures: ${facts.expectedRange.replace("-", " to ")} dB`;
    list.append(fact("Expected quality", `${facts.expectedDb} dB`, `PSNR, by what this picture looks like${range}`));
  }
  return list;
}

/**
 * @param {HTMLElement} host
 * @param {Outcome} outcome
 */
export function showFacts(host, outcome) {
  const download = element("a", { class: "button strong", id: "download", href: outcome.url, download: outcome.name }, "Download");
  const words = element(
    "div",
    { class: "facts-words" },
    element("h2", { id: "sentence" }, reasonSentence(outcome.facts)),
    element("p", { class: "quiet", id: "cleaned" }, strengthSentence(outcome.facts, outcome.strength, outcome.cleans)),
  );
  const head = element("div", { class: "facts-head" }, words, download);
  const time = element("div", { class: "time" }, element("h3", {}, "Time against the budget"), budgetBar(outcome), verdict(outcome));
  host.replaceChildren(head, numbers(outcome), time);
  if (outcome.facts.stages.length > 0) host.append(stageBar(outcome.facts.stages));
  host.hidden = false;
}

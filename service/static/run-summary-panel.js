/** Shows a result: why it is what it is, its numbers, the time that it took, and the download. */

import { element } from "./dom.js";
import { reasonSentence, strengthSentence } from "./run-summary.js";
import { duration, fileSize, pixels } from "./units.js";

/**
 * @typedef {object} Result
 * @property {import("./run-summary.js").RunSummary} run
 * @property {string} strength   as it was requested, "" for automatic
 * @property {boolean | undefined} takesStrength  whether the model can clean up, where that is known
 * @property {number} width      pixels
 * @property {number} height     pixels
 * @property {Blob} picture
 * @property {string} url        of `picture`
 * @property {string} name       to save it under
 */

/** What a stage of the run is called on the page.
 * @type {Readonly<Record<string, string>>}
 */
const STAGE_LABELS = Object.freeze({
  queue: "waiting",
  decode: "opening",
  network: "upscaling",
  yielded: "paused for urgent pictures",
  encode: "saving",
  rest: "everything else",
});

/**
 * @param {string} name
 * @param {number} part  of the whole, 0 to 1
 */
function barPart(name, part) {
  const made = element("span", { class: `bar-part bar-part-${name}` });
  made.style.setProperty("--part", String(Math.max(0, part)));
  return made;
}

/** @param {Result} result */
function budgetBar({ run }) {
  const whole = Math.max(run.budgetMs, run.elapsedMs);
  const bar = element("div", { class: "bar budget-bar", "data-met": String(run.met), "aria-hidden": "true" });
  bar.append(barPart("elapsed", run.elapsedMs / whole));
  const marks = [["predicted", run.predictedMs], ["limit", run.budgetMs]];
  for (const [name, ms] of /** @type {[string, number][]} */ (marks)) {
    const mark = element("span", { class: `mark mark-${name}` });
    mark.style.setProperty("--at", String(Math.min(1, ms / whole)));
    bar.append(mark);
  }
  return bar;
}

/** @param {Result} result */
function verdict({ run }) {
  const over = duration(Math.max(0, run.elapsedMs - run.budgetMs));
  const word = run.met ? "Budget met" : `Budget missed by ${over}`;
  return element(
    "p",
    { class: "verdict" },
    element("strong", { "data-met": String(run.met) }, word),
    ` ${duration(run.elapsedMs)} of ${duration(run.budgetMs)}; ${duration(run.predictedMs)} predicted.`,
  );
}

/** @param {import("./run-summary.js").Stage[]} stages */
function stageBar(stages) {
  const total = stages.reduce((sum, { ms }) => sum + ms, 0) || 1;
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const legend = element("ul", { class: "legend" });
  for (const { name, ms } of stages) {
    bar.append(barPart(name, ms / total));
    const dot = element("span", { class: `dot bar-part-${name}`, "aria-hidden": "true" });
    const label = STAGE_LABELS[name] ?? name;
    legend.append(element("li", {}, dot, `${label} `, element("span", { class: "muted" }, duration(ms))));
  }
  return element("div", { class: "stages" }, element("h3", {}, "Where the time went"), bar, legend);
}

/**
 * @param {string} term
 * @param {string} value
 * @param {string} details
 */
function definition(term, value, details) {
  return element(
    "div",
    {},
    element("dt", {}, term),
    element("dd", {}, value, " ", element("span", { class: "muted" }, details)),
  );
}

/** @param {import("./run-summary.js").RunSummary} run */
function qualityDetails({ expectedRange }) {
  const origin = "PSNR, estimated from this picture";
  if (expectedRange === "") return origin;
  return `${origin}; four in five such pictures have ${expectedRange.replace("-", " to ")} dB`;
}

/** @param {Result} result */
function numbers({ run, width, height, picture }) {
  const type = picture.type.replace("image/", "").toUpperCase();
  const list = element("dl", { class: "numbers" });
  const size = width > 0 ? `${pixels(width, height)} px` : type;
  const details = width > 0 ? `${type}, ${fileSize(picture.size)}` : fileSize(picture.size);
  list.append(definition("Output", size, details));
  if (run.expectedDb !== null) list.append(definition("Expected quality", `${run.expectedDb} dB`, qualityDetails(run)));
  return list;
}

/** @param {Result} result */
function head(result) {
  const text = element(
    "div",
    { class: "run-summary-text" },
    element("h2", { id: "reason" }, reasonSentence(result.run)),
    element("p", { class: "muted", id: "cleaned" }, strengthSentence(result.run, result.strength, result.takesStrength)),
  );
  const download = element("a", { class: "button primary", id: "download", href: result.url, download: result.name }, "Download");
  return element("div", { class: "run-summary-head" }, text, download);
}

/**
 * @param {HTMLElement} host  what it held before is replaced
 * @param {Result} result
 */
export function showRunSummary(host, result) {
  const time = element("div", { class: "time" }, element("h3", {}, "Time against the budget"), budgetBar(result), verdict(result));
  host.replaceChildren(head(result), numbers(result), time);
  if (result.run.stages.length > 0) host.append(stageBar(result.run.stages));
  host.hidden = false;
}

/** Shows the technical facts of a result: why it is what it is, its numbers, the time that it took. */

import { element } from "./dom.js";
import { reasonSentence, strengthSentence } from "./run-summary.js";
import { exactDuration, fileSize, pixels } from "./units.js";

/** @typedef {import("./entries.js").Result} Result */

/** What a stage of the run is called on the page.
 * @type {Readonly<Record<string, string>>}
 */
const STAGE_LABELS = Object.freeze({
  queue: "waiting",
  decode: "opening",
  load: "waking the network",
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

/** @param {import("./run-summary.js").RunSummary} run */
function budgetBar(run) {
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

/** @param {import("./run-summary.js").RunSummary} run */
function verdict(run) {
  const over = exactDuration(Math.max(0, run.elapsedMs - run.budgetMs));
  const word = run.met ? "In time" : `Late by ${over}`;
  return element(
    "p",
    { class: "verdict" },
    element("strong", { "data-met": String(run.met) }, word),
    ` ${exactDuration(run.elapsedMs)} of ${exactDuration(run.budgetMs)}; ${exactDuration(run.predictedMs)} predicted.`,
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
    legend.append(element("li", {}, dot, `${label} `, element("span", { class: "muted" }, exactDuration(ms))));
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
function numbers({ run, picture: { file, width, height } }) {
  const type = file.type.replace("image/", "").toUpperCase();
  const list = element("dl", { class: "numbers" });
  const size = width > 0 ? `${pixels(width, height)} px` : type;
  const details = width > 0 ? `${type}, ${fileSize(file.size)}` : fileSize(file.size);
  list.append(definition("Output", size, details));
  if (run.expectedDb !== null) list.append(definition("Expected quality", `${run.expectedDb} dB`, qualityDetails(run)));
  return list;
}

/**
 * @param {HTMLElement} host  what it held before is replaced
 * @param {Result} result
 * @param {boolean | undefined} takesStrength  whether the model can clean up, where that is known
 */
export function showFacts(host, result, takesStrength) {
  const { run, settings } = result;
  const words = element(
    "div",
    { class: "facts-words" },
    element("p", { id: "reason" }, reasonSentence(run)),
    element("p", { class: "muted", id: "cleaned" }, strengthSentence(run, settings.strength, takesStrength)),
  );
  const time = element("div", { class: "time" }, element("h3", {}, "Time against the limit"), budgetBar(run), verdict(run));
  host.replaceChildren(words, numbers(result), time);
  if (run.stages.length > 0) host.append(stageBar(run.stages));
}

/**
 * Reads from the headers of an answer how the service made the picture, and puts it into words.
 *
 * @typedef {object} RunSummary
 * @property {string} model
 * @property {number} width            fraction of the full width; 0 for plain resampling
 * @property {string} reason           why this network ran: a key of REASONS
 * @property {number} budgetMs
 * @property {number} predictedMs
 * @property {number} elapsedMs
 * @property {boolean} met             whether the picture was made within the budget
 * @property {number | null} expectedDb
 * @property {string} expectedRange    e.g. "31.9-34.8"; "" where it is not known
 * @property {number} strength         how much compression damage was cleaned up, 0 to 1
 * @property {Stage[]} stages          in the order of the work, then "rest"; without the upload
 *
 * @typedef {{name: string, ms: number}} Stage
 */

/** In the order of the work. `upload` is left out, for it ends before the budget starts. */
const STAGES = ["queue", "decode", "load", "network", "yielded", "encode"];

/** @type {Record<string, string>} */
const FRACTIONS = { 1: "full width", 0.75: "three-quarter width", 0.5: "half width", 0.25: "quarter width" };

/**
 * One sentence for each reason that the service gives, by its name in `X-AnySR-Reason`.
 *
 * @type {Readonly<Record<string, (network: string) => string>>}
 */
export const REASONS = Object.freeze({
  widest: (network) => `${network}: there was time for the best that your settings allow.`,
  slack: (network) => `${network}, because there was no time for a better network.`,
  backlog: (network) => `${network}, because other pictures were waiting and needed their share of the time.`,
  demand: (network) => `${network}, because requests are coming in too fast for a better network.`,
  behind: (network) => `${network} in the end: the run began wider, but took longer than predicted.`,
  pinned: (network) => `${network}, because you chose it.`,
  floor: () => "Plain resampling (Lanczos), because there was no time for any network.",
});

/**
 * @param {string | null} header  e.g. "queue;dur=1.5, total;dur=80"
 * @returns {Map<string, number>} milliseconds by name
 */
function parseServerTiming(header) {
  const entries = new Map();
  for (const part of (header ?? "").split(",")) {
    const match = /^\s*([\w-]+)\s*;.*?\bdur=([\d.]+)/.exec(part);
    if (match) entries.set(match[1], Number.parseFloat(match[2]));
  }
  return entries;
}

/**
 * @param {(name: string) => string | null} header
 * @returns {RunSummary}
 */
export function readRunSummary(header) {
  const db = Number.parseFloat(header("X-AnySR-Expected-Db") ?? "");
  return {
    model: header("X-AnySR-Model") ?? "unknown",
    width: Number.parseFloat(header("X-AnySR-Width") ?? "0"),
    reason: header("X-AnySR-Reason") ?? "",
    budgetMs: Number.parseFloat(header("X-AnySR-Budget-Ms") ?? ""),
    predictedMs: Number.parseFloat(header("X-AnySR-Predicted-Ms") ?? ""),
    elapsedMs: Number.parseFloat(header("X-AnySR-Elapsed-Ms") ?? ""),
    met: header("X-AnySR-Deadline") === "met",
    expectedDb: Number.isFinite(db) ? db : null,
    expectedRange: header("X-AnySR-Expected-Db-Range") ?? "",
    strength: Number.parseFloat(header("X-AnySR-Strength") ?? "0"),
    stages: stagesOf(parseServerTiming(header("Server-Timing"))),
  };
}

/**
 * @param {Map<string, number>} timing
 * @returns {Stage[]}
 */
function stagesOf(timing) {
  const stages = STAGES.filter((name) => timing.has(name)).map((name) => ({ name, ms: timing.get(name) ?? 0 }));
  if (stages.length === 0) return stages;
  // No stage counts admission, hand-over and the calls to the queue's server.
  const rest = (timing.get("total") ?? 0) - stages.reduce((sum, { ms }) => sum + ms, 0);
  return rest > 0 ? [...stages, { name: "rest", ms: rest }] : stages;
}

/** @param {number} width  fraction */
export function widthInWords(width) {
  return FRACTIONS[width] ?? `${Math.round(width * 1000) / 10} % width`;
}

/**
 * @param {RunSummary} run
 * @returns {string} one sentence: which network ran, and why
 */
export function reasonSentence({ model, width, reason }) {
  const network = width > 0 ? `${model} at ${widthInWords(width)}` : model;
  return REASONS[reason]?.(network) ?? `${network}.`;
}

/**
 * @param {RunSummary} run
 * @param {string} requested                  the strength that was sent, "" for automatic
 * @param {boolean | undefined} takesStrength  whether the model can clean up, where that is known
 * @returns {string} one sentence: how much compression damage was cleaned up, or why none was
 */
export function strengthSentence({ model, width, strength }, requested, takesStrength) {
  const origin = requested === "" ? "read from the file" : "as you chose";
  if (strength > 0) return `Cleaned up compression damage (strength ${strength}, ${origin}).`;
  if (requested === "0") return "Nothing was cleaned up, as you chose.";
  if (width === 0) return "Nothing was cleaned up: plain resampling cannot do that.";
  if (takesStrength === false) return `The clean-up setting has no effect on ${model}.`;
  if (takesStrength === undefined) return "Nothing was cleaned up.";
  return "Nothing to clean up: the file is lossless or hardly compressed.";
}

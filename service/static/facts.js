/**
 * Reads what the service says of a run from the headers of its answer.
 *
 * @typedef {object} Facts
 * @property {string} model
 * @property {number} width            fraction of the full width; 0 for plain resampling
 * @property {string} reason           widest, slack, pinned or floor
 * @property {number} budgetMs
 * @property {number} predictedMs
 * @property {number} elapsedMs
 * @property {boolean} met
 * @property {number | null} expectedDb
 * @property {string} expectedRange     e.g. "31.9-34.8"; "" where it is not known
 * @property {number} strength         how much compression damage was cleaned up, 0 to 1
 * @property {Stage[]} stages          in the order of the work, and the rest; without upload
 *
 * @typedef {{name: string, ms: number}} Stage
 */

/** In the order of the work; `upload` comes before the budget starts and is not among them. */
const STAGES = ["queue", "decode", "network", "yielded", "encode"];

/** @type {Record<string, string>} */
const FRACTIONS = { 1: "full width", 0.75: "three-quarter width", 0.5: "half width", 0.25: "quarter width" };

/**
 * @param {string | null} header  e.g. "queue;dur=1.5, total;dur=80"
 * @returns {Map<string, number>} milliseconds by name
 */
export function serverTiming(header) {
  const entries = new Map();
  for (const part of (header ?? "").split(",")) {
    const match = /^\s*([\w-]+)\s*;.*?\bdur=([\d.]+)/.exec(part);
    if (match) entries.set(match[1], Number.parseFloat(match[2]));
  }
  return entries;
}

/**
 * @param {(name: string) => string | null} header
 * @returns {Facts}
 */
export function readFacts(header) {
  const timing = serverTiming(header("Server-Timing"));
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
    stages: stagesOf(timing),
  };
}

/**
 * @param {Map<string, number>} timing
 * @returns {Stage[]}
 */
function stagesOf(timing) {
  const stages = STAGES.filter((name) => timing.has(name)).map((name) => ({ name, ms: timing.get(name) ?? 0 }));
  if (stages.length === 0) return stages;
  // What no stage accounts for: admission, hand-over, the way through the queue's server.
  const rest = (timing.get("total") ?? 0) - stages.reduce((sum, { ms }) => sum + ms, 0);
  return rest > 0 ? [...stages, { name: "rest", ms: rest }] : stages;
}

/** @param {number} width  fraction */
export function widthInWords(width) {
  return FRACTIONS[width] ?? `${Math.round(width * 1000) / 10} % width`;
}

/**
 * @param {Facts} facts
 * @returns {string} one sentence: what ran, and why that
 */
export function reasonSentence({ model, width, reason }) {
  const what = `${model} at ${widthInWords(width)}`;
  /** @type {Record<string, string>} */
  const sentences = {
    widest: `${what}, because the budget had room for the widest network.`,
    slack: `${what}, because the budget left no time for more.`,
    backlog: `${what}, because other requests were waiting for their share of time.`,
    demand: `${what}, because requests come faster than wider networks could answer them.`,
    behind: `${what} in the end: begun wider, it had fallen behind.`,
    pinned: `${what}, because you pinned it.`,
    floor: "Plain Lanczos resampling, because the budget left no time for any network.",
  };
  return sentences[reason] ?? `${what}.`;
}

/**
 * @param {Facts} facts
 * @param {string} asked                   the strength that was sent, "" for automatic
 * @param {boolean | undefined} cleans     whether the model can clean up, where that is known
 * @returns {string} one sentence: how much compression damage was cleaned up, or why none was
 */
export function strengthSentence({ model, width, strength }, asked, cleans) {
  const origin = asked === "" ? "read from the file" : "as you chose";
  if (strength > 0) return `Cleaned up compression damage (strength ${strength}, ${origin}).`;
  if (asked === "0") return "Nothing was cleaned up, as you chose.";
  if (width === 0) return "Nothing was cleaned up: plain resampling cannot do that.";
  if (cleans === false) return `The clean-up setting has no effect on ${model}.`;
  if (cleans === undefined) return "Nothing was cleaned up.";
  return "Nothing to clean up: the file is lossless or hardly compressed.";
}

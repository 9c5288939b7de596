/**
 * The service over HTTP. Every failure comes out as a Problem; an abort as an AbortError.
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {number} min_scale
 * @property {number} max_scale
 * @property {[number, number]} trained_scales
 * @property {number[]} widths        fractions, narrowest first
 * @property {string} description
 * @property {boolean} in_ladder      whether the service chooses it by itself
 * @property {boolean} takes_strength whether it can clean up compression damage
 *
 * @typedef {object} Limits
 * @property {number} max_body_bytes
 * @property {number} max_source_pixels
 * @property {number} max_output_pixels
 * @property {Record<string, number>} max_side  longest side of an output in pixels, by format
 *
 * @typedef {{default: string, models: Model[], limits: Limits}} Models
 *
 * @typedef {object} Way
 * @property {string} model
 * @property {number} width      fraction of the full width; 0 for plain resampling
 * @property {number} budget_ms  the smallest budget with which it can be chosen, if nothing waits
 *
 * @typedef {object} Estimate
 * @property {Way[]} rungs                the ways to make the picture, cheapest first
 * @property {number} wait_ms             after how long it would begin
 * @property {number} default_budget_ms   the budget of a request that names none
 *
 * @typedef {object} Answer
 * @property {Blob} picture
 * @property {(name: string) => string | null} header
 *
 * @typedef {object} Watcher
 * @property {AbortSignal} signal
 * @property {(part: number) => void} onUpload  part of the body sent, 0 to 1
 * @property {() => void} onSent                the body is sent: now the budget runs
 */

/** What went wrong, as problem+json says it; `unreachable` where nobody answered. */
export class Problem extends Error {
  /** @param {Record<string, unknown>} members */
  constructor(members) {
    super(String(members.detail ?? "The service cannot be reached."));
    this.code = String(members.code ?? "unreachable");
    this.requestId = String(members.request_id ?? "");
    this.smallestMs = Number(members.smallest_feasible_ms);
    this.retryAfterS = Number(members.retry_after_s);
  }
}

// Relative to this file, so that the page also works below a path prefix.
const address = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url).href;

/** @returns {Promise<Models>} */
export async function fetchModels() {
  const response = await fetch(address("models"));
  if (!response.ok) throw await problemOf(await response.blob());
  return response.json();
}

/**
 * @param {string} query
 * @param {AbortSignal} signal
 * @returns {Promise<Estimate>} what a picture would take
 */
export async function fetchEstimate(query, signal) {
  const response = await fetch(address(`estimate?${query}`), { signal });
  if (!response.ok) throw await problemOf(await response.blob());
  return response.json();
}

/** @returns {Promise<boolean>} whether a worker is warm; rejects if nobody answers */
export async function fetchReady() {
  const response = await fetch(address("health/ready"), { cache: "no-store" });
  if (response.ok || response.status === 503) return response.ok;
  throw new Problem({});
}

/**
 * @param {File} file
 * @param {import("./state.js").Settings} settings
 */
function requestBody(file, settings) {
  const body = new FormData();
  body.set("scale", String(settings.scale));
  body.set("on_miss", settings.onMiss);
  if (settings.budgetMs !== null) body.set("latency_budget_ms", String(settings.budgetMs));
  if (settings.model) body.set("model", settings.model);
  if (settings.width) body.set("anysr_width", settings.width);
  if (settings.strength) body.set("strength", settings.strength);
  if (settings.format) body.set("format", settings.format);
  body.set("image", file);
  return body;
}

/**
 * A folder that was dropped, or a file that has changed since, would look like a lost connection.
 *
 * @param {File} file
 */
async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem({ code: "unreadable_file", detail: "The browser could not open the file." });
  }
}

/** @param {Blob} body */
async function problemOf(body) {
  try {
    return new Problem(JSON.parse(await body.text()));
  } catch {
    // Not ours: a proxy's page, or nothing at all.
    return new Problem({});
  }
}

/**
 * Upscale one picture. XMLHttpRequest rather than fetch, because only it tells when the upload
 * is over: the budget starts there. Aborting closes the connection, which cancels the job.
 *
 * @param {File} file
 * @param {import("./state.js").Settings} settings
 * @param {Watcher} watcher
 * @returns {Promise<Answer>}
 */
export async function upscale(file, settings, { signal, onUpload, onSent }) {
  await checkReadable(file);
  signal.throwIfAborted();
  const request = new XMLHttpRequest();
  request.open("POST", address("upscale"));
  request.responseType = "blob";
  request.upload.addEventListener("progress", ({ loaded, total }) => onUpload(loaded / total));
  request.upload.addEventListener("load", onSent);
  signal.addEventListener("abort", () => request.abort(), { once: true });
  const answer = new Promise((resolve, reject) => {
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("error", () => reject(new Problem({})));
    request.addEventListener("load", () => {
      const header = (/** @type {string} */ name) => request.getResponseHeader(name);
      if (request.status === 200) resolve({ picture: request.response, header });
      else problemOf(request.response).then(reject);
    });
  });
  request.send(requestBody(file, settings));
  return answer;
}

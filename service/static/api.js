/**
 * Calls the service over HTTP. Every call fails with a Problem, or with an AbortError when aborted.
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
 * @property {boolean} ready          whether a worker has it warm
 * @property {boolean} on_demand      whether the first request for it loads it
 * @property {Quality[]} quality      measured means
 *
 * @typedef {object} Quality
 * @property {string} dataset
 * @property {number} scale
 * @property {number} width   fraction of the full width
 * @property {number} psnr_y  dB
 *
 * @typedef {object} Limits
 * @property {number} max_body_bytes
 * @property {number} max_source_pixels
 * @property {number} max_output_pixels
 * @property {Format[]} formats  read, and most of them written
 *
 * @typedef {object} Format
 * @property {string} name
 * @property {string} label       as people write it
 * @property {string} media_type
 * @property {string[]} suffixes
 * @property {string} written_as  the format of a result where none is chosen; another one's name if it is only read
 * @property {number} max_side    longest side of an output in pixels
 * @property {boolean} lossy      whether a quality has an effect
 * @property {boolean} transparency  whether it is stored; else pictures are flattened on a background
 *
 * @typedef {{default: string, models: Model[], limits: Limits}} Models
 *
 * @typedef {object} Rung  one way to make a picture
 * @property {string} model
 * @property {number} width      fraction of the full width; 0 for plain resampling
 * @property {number} expected_ms  predicted time of a worker
 * @property {number} safe_ms      forty-nine of fifty runs take less
 * @property {number} budget_ms    the smallest budget with which it can be chosen, if nothing waits
 *
 * @typedef {object} Estimate
 * @property {Rung[]} rungs               the ways to make the picture, cheapest first
 * @property {number} wait_ms             milliseconds until it would begin
 * @property {number} default_budget_ms   what the service chooses for a request without one
 *
 * @typedef {object} Answer
 * @property {Blob} picture
 * @property {(name: string) => string | null} header
 *
 * @typedef {object} UploadOptions
 * @property {AbortSignal} signal
 * @property {(part: number) => void} onUpload  part of the body sent, 0 to 1
 * @property {() => void} onSent                the body is sent: the budget starts
 */

import { authorization, wantKey } from "./key.js";

/**
 * What the pages of proxies mean, in the service's words: they have a status alone.
 *
 * @type {Readonly<Record<number, string>>}
 */
const PROXY_CODES = Object.freeze({ 413: "body_too_large", 429: "overloaded", 503: "not_ready", 504: "deadline_exceeded" });

/** An error as the service describes it in problem+json; its code is `unreachable` without an answer. */
export class Problem extends Error {
  /**
   * @param {Record<string, unknown>} members
   * @param {number} status              of the answer; 0 without one
   * @param {string | null} retryAfter   the header
   */
  constructor(members, status = 0, retryAfter = null) {
    super(String(members.detail ?? (status > 0 ? `A server on the way answered ${status}.` : "The service cannot be reached.")));
    this.code = String(members.code ?? PROXY_CODES[status] ?? "unreachable");
    this.requestId = String(members.request_id ?? "");
    this.smallestMs = Number(members.smallest_feasible_ms);
    /** Frames or pages of the picture, where one was named that is not there; else NaN. */
    this.frames = Number(members.frames);
    this.status = status;
    /** NaN where the service does not tell when to ask again. */
    this.retryAfterS = Number(members.retry_after_s ?? retryAfter ?? NaN);
  }
}

/** Pictures wait for the list of models before they are shown, but not for a service that hangs. */
const MODELS_TIMEOUT_MS = 5000;

// Relative to this file, so that the page also works under a path prefix.
const address = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url).href;

/**
 * @param {string} path
 * @param {RequestInit} options
 */
const answerOf = (path, options) => fetch(address(path), { ...options, headers: authorization() });

/** @returns {Promise<Models>} */
export async function fetchModels() {
  const response = await answerOf("models", { signal: AbortSignal.timeout(MODELS_TIMEOUT_MS) });
  if (!response.ok) throw await problemOf(await response.blob(), response.status);
  return response.json();
}

/**
 * @param {string} query
 * @param {AbortSignal} signal
 * @returns {Promise<Estimate>} what the picture would take
 */
export async function fetchEstimate(query, signal) {
  const response = await answerOf(`estimate?${query}`, { signal });
  if (!response.ok) throw await problemOf(await response.blob(), response.status);
  return response.json();
}

/** @returns {Promise<number>} how many workers are warm; rejects if nobody answers */
export async function fetchReady() {
  const response = await fetch(address("health/ready"), { cache: "no-store" });
  if (response.status === 503) return 0;
  if (!response.ok) throw new Problem({});
  /** @type {{workers: {ready: boolean}[]}} */
  const { workers } = await response.json();
  return workers.filter(({ ready }) => ready).length;
}

/**
 * @param {File} file
 * @param {Record<string, string>} parameters
 */
function requestBody(file, parameters) {
  const body = new FormData();
  for (const [name, value] of Object.entries(parameters)) body.set(name, value);
  body.set("image", file);
  return body;
}

/**
 * Throw a Problem for a file that cannot be read: a folder that was dropped, or a file that has
 * changed since. Sending it would look like a lost connection.
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

/**
 * @param {Blob} body
 * @param {number} status
 * @param {string | null} retryAfter  the header, which a proxy may send without our body
 */
async function problemOf(body, status, retryAfter = null) {
  try {
    const problem = new Problem(JSON.parse(await body.text()), status, retryAfter);
    if (problem.code === "unauthorized") wantKey();
    return problem;
  } catch {
    // A proxy's error page, or an empty body.
    return new Problem({}, status, retryAfter);
  }
}

/**
 * Upscale one picture. This uses XMLHttpRequest because fetch does not tell when the upload ends,
 * which is when the budget starts. Aborting closes the connection, which cancels the job.
 *
 * @param {File} file
 * @param {Record<string, string>} parameters  of POST /upscale
 * @param {UploadOptions} options
 * @returns {Promise<Answer>}
 */
export async function upscale(file, parameters, { signal, onUpload, onSent }) {
  await checkReadable(file);
  signal.throwIfAborted();
  const request = new XMLHttpRequest();
  request.open("POST", address("upscale"));
  request.responseType = "blob";
  for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", ({ loaded, total }) => onUpload(loaded / total));
  request.upload.addEventListener("load", onSent);
  signal.addEventListener("abort", () => request.abort(), { once: true });
  const answer = new Promise((resolve, reject) => {
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("error", () => reject(new Problem({})));
    request.addEventListener("load", () => {
      const header = (/** @type {string} */ name) => request.getResponseHeader(name);
      const { status, response } = request;
      if (status === 200) resolve({ picture: response, header });
      else problemOf(response, status, header("Retry-After")).then(reject);
    });
  });
  request.send(requestBody(file, parameters));
  return answer;
}

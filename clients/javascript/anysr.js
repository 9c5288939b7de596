/**
 * Client of AnySR Serve: upscales pictures by any real scale within a latency budget. One module
 * without dependencies, for browsers and Node 18 or later. Times are milliseconds. Options and the
 * service's JSON have the names of its HTTP interface.
 *
 *     const client = new Client({ server: "http://127.0.0.1:8000" });
 *     const larger = await client.upscale(file, { scale: 2.5, deadlineMs: 3000 });
 */

/** The version, which is that of the service in the same repository. */
export const VERSION = "0.1.0";

/**
 * An encoded picture, the address from which the service fetches it, or what `upload` has returned.
 * A Blob, as a File of a browser or of `fs.openAsBlob`, is never in memory as a whole.
 * @typedef {Blob | ArrayBuffer | Uint8Array | URL | Uploaded} Picture
 *
 * @typedef {object} OutputOptions What picture is wanted, and from which network.
 * @property {number} [scale] Output size / input size, from 1 to 8.
 * @property {number} [scale_h] The scale of the height; needs `scale_w`.
 * @property {number} [scale_w]
 * @property {"degrade" | "reject"} [on_miss] When the deadline cannot be met: a picture anyway,
 *   or an error.
 * @property {string} [model] A name from `models()`.
 * @property {number} [anysr_width] The network width to run at.
 * @property {number} [min_width] Least network width that may run.
 * @property {number} [min_db] Least expected PSNR-Y, in dB.
 * @property {number | "auto"} [strength] How much compression damage to clean up, 0 to 1.
 *
 * @typedef {object} PictureOptions What is wanted of a picture that is sent.
 * @property {number} [width] Output width in pixels; alone it keeps the aspect ratio.
 * @property {number} [height]
 * @property {number} [latency_budget_ms] From the end of the upload to the finished answer; by
 *   default what the picture needs, or what remains until the deadline.
 * @property {string} [format] Format of the output.
 * @property {number} [quality] 1 to 100, for lossy formats.
 * @property {boolean} [lossless]
 * @property {"keep" | "copyright" | "none"} [metadata]
 * @property {number} [frame] Which frame or page, counted from 0.
 * @property {string} [background] RRGGBB.
 *
 * @typedef {object} Bounds What bounds a call in time.
 * @property {number} [deadlineMs] From now; it covers retries and waiting, and the budget that is
 *   sent ends before it.
 * @property {AbortSignal} [signal] Ends the call; its reason is thrown.
 *
 * @typedef {OutputOptions & PictureOptions & Bounds & {idempotencyKey?: string}} Options
 *
 * @typedef {Options & {webhook_url?: string, result?: string, result_url?: string, durable?: boolean}} JobOptions A
 *   job's end may be announced to a URL, and its picture put at `s3://bucket/key` or a URL. A durable one is answered
 *   once it is on the queue's disk.
 *
 * @typedef {object} Described The picture of an estimate.
 * @property {number} width
 * @property {number} height
 * @property {string} format
 * @property {number} [output_width]
 * @property {number} [output_height]
 * @property {string} [output_format]
 *
 * @typedef {OutputOptions & Described & Bounds} EstimateOptions
 *
 * @typedef {object} Run How a job was run.
 * @property {string} model `lanczos` for plain resampling.
 * @property {number} width
 * @property {string} reason
 * @property {number} predicted_ms
 * @property {number} run_ms
 * @property {Record<string, number>} stages_ms
 * @property {number | null} expected_db
 * @property {[number, number] | null} expected_db_range
 * @property {number} strength
 * @property {number} tiles
 * @property {boolean} converted
 *
 * @typedef {object} JobState A job at one moment.
 * @property {string} id
 * @property {"queued" | "running" | "succeeded" | "failed" | "cancelled"} status
 * @property {number} progress From 0 to 1.
 * @property {number} submitted_ms
 * @property {number} deadline_ms
 * @property {number | null} finished_ms
 * @property {number} output_width
 * @property {number} output_height
 * @property {Run | null} run Null until it has ended.
 * @property {Problem | null} error Why it has failed or was cancelled.
 * @property {Webhook | null} webhook Null without `webhook_url`.
 * @property {Destination | null} destination Null without `result` and `result_url`.
 *
 * @typedef {object} Destination Where the picture of a job is put.
 * @property {string} place `s3://bucket/key`, or scheme and host of `result_url`.
 * @property {"waiting" | "stored" | "given_up" | "no_picture"} state
 * @property {number} attempts
 * @property {Problem | null} error Why the last attempt has failed.
 * @property {number | null} next_attempt_ms
 * @property {number | null} stored_ms
 * @property {number | null} given_up_ms
 *
 * @typedef {object} Webhook How the end of a job is announced.
 * @property {string} host
 * @property {number} attempts
 * @property {string | null} last_answer HTTP status, or code of the error, of the last attempt.
 * @property {number | null} next_attempt_ms
 * @property {number | null} delivered_ms
 * @property {number | null} given_up_ms
 *
 * @typedef {Record<string, unknown> & {code: string, detail: string, status?: number}} Problem
 *
 * @typedef {object} Rung One option for a picture.
 * @property {string} model
 * @property {number} width
 * @property {number} expected_ms
 * @property {number} safe_ms
 * @property {number} budget_ms
 * @property {number | null} expected_db
 *
 * @typedef {object} Estimate Options and budgets for a picture.
 * @property {Rung[]} rungs Cheapest first, each better than all before it.
 * @property {number} wait_ms
 * @property {number} smallest_budget_ms
 * @property {number} default_budget_ms
 * @property {number} output_width
 * @property {number} output_height
 *
 * @typedef {object} Model One model of the service.
 * @property {string} name
 * @property {string} description
 * @property {string} licence
 * @property {boolean} default
 * @property {number} min_scale
 * @property {number} max_scale
 * @property {number | null} fixed_scale
 * @property {number[]} widths Narrowest first.
 * @property {boolean} ready
 * @property {boolean} on_demand
 * @property {boolean} in_ladder
 * @property {boolean} takes_strength
 * @property {string[]} backends
 *
 * @typedef {object} Format One image format.
 * @property {string} name
 * @property {string} label
 * @property {string} media_type
 * @property {string[]} suffixes
 * @property {string} written_as
 * @property {number} max_side
 * @property {boolean} lossy
 * @property {boolean} lossless
 * @property {boolean} transparency
 *
 * @typedef {object} Limits Limits of the service.
 * @property {number} max_body_bytes
 * @property {number} max_source_pixels
 * @property {number} max_output_pixels
 * @property {number} max_budget_ms
 * @property {Format[]} formats
 *
 * @typedef {object} Models The models of the service, and its limits.
 * @property {string} default
 * @property {Model[]} models
 * @property {string[]} untrained
 * @property {Limits} limits
 *
 * @typedef {object} Upscaled An encoded picture, and how it was made.
 * @property {Blob} picture
 * @property {string} mediaType
 * @property {string} jobId
 * @property {string} model `lanczos` for plain resampling.
 * @property {number} width Network width; 0 for plain resampling.
 * @property {[number, number]} scales Of height and width, in two decimals.
 * @property {string} reason Why this width.
 * @property {number} budgetMs
 * @property {number} elapsedMs From the end of the upload to the finished answer.
 * @property {boolean} met Whether that was within the budget.
 * @property {number} strength How much compression damage was cleaned up, 0 to 1.
 * @property {number | null} predictedMs
 * @property {number | null} expectedDb
 * @property {boolean} converted Whether colours were converted.
 *
 * @typedef {object} Place Where a picture is to be written, once.
 * @property {string} id
 * @property {string} method
 * @property {string} url
 * @property {Record<string, string>} headers What the request must have.
 * @property {number} valid_s
 *
 * @typedef {object} BatchItem What became of one picture of a batch.
 * @property {number} index Its place in the sources, from 0.
 * @property {Picture} source
 * @property {Upscaled} [upscaled]
 * @property {AnysrError} [error]
 *
 * @typedef {object} Source One picture of a submitted batch, by its address.
 * @property {string} image_url `https://host/path` or `s3://bucket/key`.
 * @property {string} [name] What its caller calls it; it comes back with the source.
 * @property {string} [result] Where its picture is put: `s3://bucket/key`.
 * @property {string} [result_url] URL to which its picture is PUT, such as a presigned one.
 *
 * @typedef {object} BatchState A batch at one moment.
 * @property {string} id
 * @property {"waiting" | "running" | "finished" | "cancelled"} status
 * @property {number} progress Part of its sources that has ended, from 0 to 1.
 * @property {Record<string, number>} counts Number of its sources in each state.
 * @property {number} total
 * @property {number} created_ms
 * @property {number | null} started_ms
 * @property {number | null} finished_ms
 * @property {Record<string, string>} options
 * @property {Webhook | null} webhook Null without `webhook_url`.
 *
 * @typedef {object} SourceState One source of a batch at one moment.
 * @property {number} index Its place in the batch, from 0.
 * @property {string} image_url
 * @property {string | null} name
 * @property {string | null} place Where its picture is put; its job tells whether it is there.
 * @property {"waiting" | "running" | "succeeded" | "failed" | "cancelled"} state
 * @property {string | null} job_id Null before it has begun.
 * @property {Problem | null} error Why there will be no picture.
 *
 * @typedef {object} Retries How patient a client is.
 * @property {number} patienceMs How long after the first try another one may begin.
 * @property {number} attempts Tries whose connection fails, or to which a proxy answers.
 * @property {number} firstPauseMs
 * @property {number} longestPauseMs
 */

// Errors ------------------------------------------------------------------------------------------

/** What went wrong: `code` is stable, `detail` is a sentence for people. */
export class AnysrError extends Error {
  /**
   * @param {string} detail
   * @param {{code: string, status?: number, retryAfterMs?: number, members?: Problem}} facts
   */
  constructor(detail, { code, status, retryAfterMs, members }) {
    super(`${code}: ${detail}`);
    this.name = new.target.name;
    this.detail = detail;
    this.code = code;
    /** Status of the service's answer; undefined where there was none. */
    this.status = status;
    /** After which the service wants to be asked again. */
    this.retryAfterMs = retryAfterMs;
    /** All members of the service's problem, such as `smallest_feasible_ms`. */
    this.members = members;
  }
}

/** A parameter is wrong, or names what the service lacks. */
export class InvalidRequest extends AnysrError {}
/** The picture cannot be read, or is too large. */
export class PictureRefused extends AnysrError {}
/** No idle service could meet this budget, or no network reaches this quality. */
export class Infeasible extends AnysrError {}
/** The address from which the service was to take the picture did not answer as needed. */
export class SourceFailed extends AnysrError {}
/** The key is missing, unknown, or not allowed to do this. */
export class AccessDenied extends AnysrError {}
/** The job is unknown, or its picture is kept no longer. */
export class NotFound extends AnysrError {}
/** The job has no picture: unfinished or cancelled; or an idempotency key is in use. */
export class Conflict extends AnysrError {}
/** The service cannot take the request at the moment. */
export class Busy extends AnysrError {}
/** An error of the service. */
export class ServiceFailed extends AnysrError {}
/** The caller's deadline has passed, or that of the job. */
export class DeadlineExceeded extends AnysrError {}
/** There was no answer, or it broke off. */
export class ConnectionFailed extends AnysrError {}
/** What answered is no such service. */
export class UnexpectedAnswer extends AnysrError {}

/** @typedef {typeof AnysrError} Family */

/** Families that a status alone does not tell. @type {Readonly<Record<string, Family>>} */
const BY_CODE = {
  animated_image: PictureRefused,
  idempotency_key_reused: Conflict,
  uploads_disabled: InvalidRequest,
  webhooks_disabled: InvalidRequest,
  budget_infeasible: Infeasible,
  deadline_exceeded: DeadlineExceeded,
  decoding_too_long: PictureRefused,
  model_not_trained: InvalidRequest,
  quality_infeasible: Infeasible,
};
/** @type {Readonly<Record<number, Family>>} */
const BY_STATUS = {
  400: PictureRefused,
  401: AccessDenied,
  403: AccessDenied,
  404: NotFound,
  409: Conflict,
  410: NotFound,
  413: PictureRefused,
  415: PictureRefused,
  424: SourceFailed,
  429: Busy,
  503: Busy,
};

/**
 * The error of a problem (RFC 9457).
 * @param {Problem} problem
 * @param {number} status
 * @param {number} [retryAfterMs]
 */
function errorOfProblem(problem, status, retryAfterMs) {
  const family = (Object.hasOwn(BY_CODE, problem.code) && BY_CODE[problem.code]) ||
    BY_STATUS[status] || (status >= 500 ? ServiceFailed : InvalidRequest);
  const facts = { code: problem.code, status, members: problem };
  return new family(problem.detail, retryAfterMs === undefined ? facts : { ...facts, retryAfterMs });
}

/**
 * The error of an answer that is no success.
 * @param {Response} answer
 */
async function errorOfAnswer(answer) {
  const { status } = answer;
  const after = answer.headers.get("Retry-After") ?? "";
  const wait = /^\d+$/.test(after) ? { retryAfterMs: 1000 * Number(after) } : {};
  const problem = await answer.json().catch(() => null);
  if (typeof problem?.code === "string" && typeof problem.detail === "string") {
    return errorOfProblem(problem, status, wait.retryAfterMs);
  }
  const detail = `the server answered ${status}, which is no answer of AnySR`;
  return new UnexpectedAnswer(detail, { code: "unexpected_answer", status, ...wait });
}

const passed = () =>
  new DeadlineExceeded("the deadline has passed", { code: "deadline_exceeded" });

/** @param {unknown} error */
const broken = (error) => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const detail = `the connection to the service failed: ${cause}`;
  return new ConnectionFailed(detail, { code: "connection_failed" });
};

// Time --------------------------------------------------------------------------------------------

/** What bounds one call: a point in time, by `performance.now()`, and the caller's signal. */
class Limit {
  /** @param {Bounds} bounds @param {number} [at] The deadline where `bounds` has none. */
  constructor({ deadlineMs, signal }, at = Infinity) {
    this.at = deadlineMs === undefined ? at : performance.now() + deadlineMs;
    this.caller = signal;
  }

  get leftMs() {
    return this.at - performance.now();
  }

  /** Throw the caller's reason, or DeadlineExceeded. */
  check() {
    this.caller?.throwIfAborted();
    if (this.leftMs <= 0) throw passed();
  }

  /**
   * Do something that heeds a signal, which is aborted at the deadline, by the caller, and after
   * `quietMs` without `alive()`.
   * @template T
   * @param {(signal: AbortSignal, alive: () => void) => Promise<T>} work
   * @param {number} [quietMs]
   * @returns {Promise<T>}
   */
  async during(work, quietMs = Infinity) {
    this.check();
    const stop = new AbortController();
    const leave = () => stop.abort();
    let late = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const alive = () => {
      clearTimeout(timer);
      const ms = Math.min(quietMs, this.leftMs, 2 ** 31 - 1);
      // A timer may fire a little early, when the deadline has not quite passed.
      const last = this.leftMs - ms < 1;
      const end = () => ((late = last), leave());
      if (Math.min(quietMs, this.leftMs) < Infinity) timer = setTimeout(end, Math.max(0, ms));
    };
    alive();
    this.caller?.addEventListener("abort", leave);
    try {
      return await work(stop.signal, alive);
    } catch (error) {
      this.check();
      if (late) throw passed();
      throw error instanceof AnysrError ? error : broken(error);
    } finally {
      clearTimeout(timer);
      this.caller?.removeEventListener("abort", leave);
    }
  }

  /** Wait, until the deadline at most. @param {number} ms */
  pause(ms) {
    return this.during(
      (signal) =>
        /** @type {Promise<void>} */ (
          new Promise((resolve, reject) => {
            const timer = setTimeout(resolve, ms);
            signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)));
          })
        ),
    );
  }
}

// Retries -----------------------------------------------------------------------------------------

/** @type {Readonly<Retries>} */
export const RETRIES = Object.freeze({
  patienceMs: 60_000,
  attempts: 4,
  firstPauseMs: 250,
  longestPauseMs: 8_000,
});
const PROXY_STATUSES = [502, 503, 504];

/** Whether a later try may succeed. @param {AnysrError} error */
function worthRepeating(error) {
  if (error instanceof Conflict) return error.retryAfterMs !== undefined;
  if (error instanceof UnexpectedAnswer) return PROXY_STATUSES.includes(error.status ?? 0);
  return error instanceof Busy || error instanceof ConnectionFailed;
}

/**
 * The pause before the next try; undefined if there is to be none. It has full jitter, and is never
 * shorter than the service's `Retry-After`.
 * @param {Retries} retries
 * @param {{made: number, broken: number, waitedMs: number}} tries
 * @param {AnysrError} error
 * @param {number} leftMs Until the deadline.
 * @param {number} chance From 0 to 1.
 * @returns {number | undefined}
 */
export function pauseBeforeNext(retries, tries, error, leftMs, chance) {
  if (!worthRepeating(error) || tries.broken >= retries.attempts) return undefined;
  const after = error.retryAfterMs ?? 0;
  const ceiling = Math.min(retries.longestPauseMs, retries.firstPauseMs * 2 ** (tries.made - 1));
  const pause = after + chance * ceiling;
  if (tries.waitedMs + after > retries.patienceMs || pause >= leftMs) return undefined;
  return pause;
}

// Requests ----------------------------------------------------------------------------------------

/** Part of what remains until a deadline that is left for the ways of picture and result. */
const WAY_BACK = 0.1;
/** Code of a refusal that leaves a job all the same, which the same request finds. */
const NOT_DURABLE_YET = "not_durable_yet";
const OF_THE_CALL = ["deadlineMs", "signal", "idempotencyKey"];
const LONGEST_QUIET_MS = 45_000;
/** Status of a store for a PUT where something is already. */
const PRECONDITION_FAILED = 412;

/**
 * A request that sends its picture. A refusal leaves no job, so the next try is a new request with
 * the budget that then remains. Where it is unknown whether there is a job, a request with an
 * idempotency key is repeated as it was: by its key it finds that job. A caller's own key comes
 * again with a later call, so it leaves the budget as the caller gave it.
 */
class Submission {
  /**
   * @param {Picture} picture
   * @param {Options} options
   * @param {number} mostMs The largest budget that the service accepts.
   * @param {boolean} keyed Whether it has an idempotency key, beside a caller's own.
   */
  constructor(picture, options, mostMs, keyed) {
    this.keyed = keyed || options.idempotencyKey !== undefined;
    this.picture = picture;
    this.options = options;
    this.mostMs = mostMs;
    /** @type {{query: URLSearchParams, init: RequestInit} | undefined} */
    this.current = undefined;
    this.unsure = false;
  }

  /** What is to be sent now. @param {Limit} limit */
  next(limit) {
    this.current ??= this.fresh(limit);
    return this.current;
  }

  /** Take notice of what became of it. @param {AnysrError} error */
  failed(error) {
    this.unsure ||= this.keyed && (!(error instanceof Busy) || error.code === NOT_DURABLE_YET);
    if (!this.unsure) this.current = undefined;
  }

  /** @param {Limit} limit */
  fresh(limit) {
    const query = queryOf(this.options);
    if (limit.at < Infinity && this.options.idempotencyKey === undefined) {
      const wanted = this.options.latency_budget_ms ?? this.mostMs;
      const left = Math.max(0.001, limit.leftMs * (1 - WAY_BACK));
      query.set("latency_budget_ms", Math.min(left, wanted).toFixed(3));
    }
    /** @type {Record<string, string>} */
    const headers = {};
    const body = bodyOf(this.picture);
    if (this.picture instanceof URL) query.set("image_url", this.picture.href);
    if (this.picture instanceof Uploaded) query.set("upload", this.picture.id);
    if (body !== null) headers["Content-Type"] = "application/octet-stream";
    if (this.keyed) headers["Idempotency-Key"] = quoted(this.options.idempotencyKey ?? unique());
    return { query, init: { method: "POST", headers, body } };
  }
}

/** A picture that is in the service's store already, for one request. */
export class Uploaded {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }
}

/**
 * What is sent of a picture; null for one that the service gets elsewhere.
 * @param {Picture} picture
 * @returns {Blob | null} Or bytes, which a request takes as well.
 */
function bodyOf(picture) {
  const elsewhere = picture instanceof URL || picture instanceof Uploaded;
  return elsewhere ? null : /** @type {Blob} */ (picture);
}

/** The bytes of what is sent. @param {Blob | ArrayBuffer | Uint8Array} body */
const sizeOf = (body) => (body instanceof Blob ? body.size : body.byteLength);

/**
 * A request that is the same each time, because it changes nothing, or has a key.
 * @param {RequestInit} init
 */
const plain = (init) => ({ next: () => ({ query: undefined, init }), failed: () => {} });

/** A key as a string of RFC 9651. @param {string} key */
function quoted(key) {
  if (!/^[ -~]{1,255}$/.test(key)) {
    throw new RangeError("an idempotency key has 1 to 255 printable ASCII characters");
  }
  return `"${key.replace(/["\\]/g, "\\$&")}"`;
}

/** A name that no other request has. Node 18 has no `crypto`, an insecure page no `randomUUID`. */
function unique() {
  const words = new Uint32Array(4);
  if (globalThis.crypto) globalThis.crypto.getRandomValues(words);
  else words.forEach((_, place) => (words[place] = Math.random() * 2 ** 32));
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}

/** Headers without the one that `fetch` sets itself. @param {Record<string, string>} headers */
const bySender = (headers) =>
  Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-length"),
  );

/** The options that are parameters of the service. @param {object} options */
function queryOf(options) {
  const given = Object.entries(options).filter(
    ([name, value]) => value !== undefined && value !== null && !OF_THE_CALL.includes(name),
  );
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}

/** @param {Headers} headers @param {string} name */
const numberOf = (headers, name) => {
  const text = headers.get(name);
  return text === null ? null : Number(text);
};

/**
 * The picture of an answer, with what its headers say.
 * @param {Response} answer
 * @param {Blob} picture
 * @returns {Upscaled}
 */
function upscaledOf(answer, picture) {
  const { headers } = answer;
  const model = headers.get("X-AnySR-Model");
  if (model === null) {
    const detail = "the server answered without a picture of AnySR, or its headers are hidden";
    throw new UnexpectedAnswer(detail, { code: "unexpected_answer", status: answer.status });
  }
  const [rows = NaN, columns = rows] = (headers.get("X-AnySR-Scale") ?? "").split("x").map(Number);
  return {
    picture,
    mediaType: picture.type,
    jobId: headers.get("X-Request-ID") ?? "",
    model,
    width: Number(headers.get("X-AnySR-Width")),
    scales: [rows, columns],
    reason: headers.get("X-AnySR-Reason") ?? "",
    budgetMs: Number(headers.get("X-AnySR-Budget-Ms")),
    elapsedMs: Number(headers.get("X-AnySR-Elapsed-Ms")),
    met: headers.get("X-AnySR-Deadline") === "met",
    strength: Number(headers.get("X-AnySR-Strength")),
    predictedMs: numberOf(headers, "X-AnySR-Predicted-Ms"),
    expectedDb: numberOf(headers, "X-AnySR-Expected-Db"),
    converted: headers.has("X-AnySR-Colours"),
  };
}

/** @param {{status: string}} state */
const hasEnded = (state) =>
  ["succeeded", "failed", "cancelled", "finished"].includes(state.status);

// The client --------------------------------------------------------------------------------------

/** Calls a service of AnySR. */
export class Client {
  /** @type {number | undefined} */
  #mostBudgetMs;

  /**
   * @param {object} [settings]
   * @param {string} [settings.server] The service's address; by default that of the page.
   * @param {string} [settings.key] The caller's key.
   * @param {Partial<Retries>} [settings.retries]
   * @param {typeof fetch} [settings.fetch] What sends requests.
   */
  constructor({ server, key, retries, fetch: send } = {}) {
    const address = server ?? globalThis.location?.origin ?? "http://127.0.0.1:8000";
    /** The service's address. */
    this.server = new URL(address).href.replace(/\/$/, "");
    /** @type {Readonly<Retries>} */
    this.retries = { ...RETRIES, ...retries };
    /** @type {Record<string, string>} */
    const authorised = key === undefined ? {} : { Authorization: `Bearer ${key}` };
    /**
     * Send a request to a path of the service.
     * @type {(path: string, init: RequestInit) => Promise<Response>}
     */
    this.send = (path, init) => {
      const headers = { ...authorised, .../** @type {object} */ (init.headers) };
      return (send ?? globalThis.fetch)(`${this.server}${path}`, { ...init, headers });
    };
    /**
     * Send a request to the service's store, which must not get the key.
     * @type {(url: string, init: RequestInit) => Promise<Response>}
     */
    this.sendElsewhere = (url, init) => (send ?? globalThis.fetch)(url, init);
  }

  /**
   * Upscale a picture. Only a caller's own idempotency key is sent: the service ends a job without
   * one when the connection breaks, and keeps no picture that it has delivered.
   * @param {Picture} picture
   * @param {Options} options
   * @returns {Promise<Upscaled>}
   */
  async upscale(picture, options) {
    return this.#submitted("/upscale", picture, options, new Limit(options), pictureOf, false);
  }

  /**
   * Submit the job that makes a picture. The deadline is that of the job as well. Each call has an
   * idempotency key; give one to submit the same job again from elsewhere.
   * @param {Picture} picture
   * @param {JobOptions} options
   * @returns {Promise<Job>}
   */
  async submit(picture, options) {
    const limit = new Limit(options);
    const state = await this.#submitted("/jobs", picture, options, limit, jsonOf, true);
    return new Job(this, /** @type {JobState} */ (state).id, state, limit.at);
  }

  /**
   * Write a picture into the service's store, past the service itself, and return what one
   * `upscale` or `submit` takes in its place. Throws InvalidRequest where there is no store, a
   * TypeError for an address.
   * @param {Picture} picture
   * @param {Bounds} [bounds]
   * @returns {Promise<Uploaded>}
   */
  async upload(picture, bounds = {}) {
    const body = bodyOf(picture);
    if (body === null) throw new TypeError("only a picture itself can be uploaded");
    const limit = new Limit(bounds);
    const headers = { "Content-Type": "application/json" };
    const order = { method: "POST", headers, body: JSON.stringify({ bytes: sizeOf(body) }) };
    /** @type {Place} */
    const place = await this.#answered("/uploads", plain(order), limit, jsonOf);
    const put = plain({ method: place.method, headers: bySender(place.headers), body });
    try {
      await this.#answered(place.url, put, limit, (answer) => answer.text(), this.sendElsewhere);
    } catch (error) {
      // A second PUT is refused: the first one has arrived, although its answer was lost.
      if (!(error instanceof UnexpectedAnswer && error.status === PRECONDITION_FAILED)) throw error;
    }
    return new Uploaded(place.id);
  }

  /** A job that was submitted before; nothing is sent. @param {string} id */
  job(id) {
    return new Job(this, id);
  }

  /**
   * Upscale many pictures with the same options, `concurrency` of them at once, and yield each as
   * soon as it is made. One that fails is an item with its error; the others go on.
   * @param {Iterable<Picture>} sources
   * @param {Options & {concurrency?: number}} options
   * @returns {AsyncGenerator<BatchItem, void, void>}
   */
  async *batch(sources, { concurrency = 4, ...options }) {
    const limit = new Limit(options);
    const stop = new AbortController();
    const leave = () => stop.abort(options.signal?.reason);
    options.signal?.addEventListener("abort", leave);
    if (options.signal?.aborted) leave();
    /** @param {Picture} source @param {number} index @returns {Promise<BatchItem>} */
    const one = async (source, index) => {
      try {
        const bounds = limit.at < Infinity ? { deadlineMs: limit.leftMs } : {};
        const wish = { ...options, ...bounds, signal: stop.signal };
        return { index, source, upscaled: await this.upscale(source, wish) };
      } catch (error) {
        if (error instanceof AnysrError) return { index, source, error };
        throw error;
      }
    };
    /** @type {Map<number, Promise<BatchItem>>} */
    const running = new Map();
    let index = 0;
    try {
      for (const source of sources) {
        running.set(index, one(source, index));
        index += 1;
        if (running.size >= concurrency) yield await this.#first(running);
      }
      while (running.size) yield await this.#first(running);
    } finally {
      options.signal?.removeEventListener("abort", leave);
      stop.abort();
      await Promise.allSettled(running.values());
    }
  }

  /** @param {Map<number, Promise<BatchItem>>} running */
  async #first(running) {
    const item = await Promise.race(running.values());
    running.delete(item.index);
    return item;
  }

  /**
   * Submit a batch of many pictures, by their addresses, with the same options. The service fetches
   * and makes them while it has room, beneath the work of callers who wait, so the deadline is that
   * of this call alone. One that fails stops no other. Each call has an idempotency key; give one
   * to submit the same batch again from elsewhere.
   * @param {Iterable<string | URL | Source>} sources
   * @param {Options & {webhook_url?: string}} options
   * @returns {Promise<Batch>}
   */
  async submitBatch(sources, options) {
    const { webhook_url, idempotencyKey, deadlineMs: _, signal: __, ...wishes } = options;
    const body = JSON.stringify({
      sources: Array.from(sources, (source) =>
        typeof source === "string" || source instanceof URL ? { image_url: `${source}` } : source,
      ),
      options: Object.fromEntries(queryOf(wishes)),
      webhook_url,
    });
    const headers = {
      "Content-Type": "application/json",
      "Idempotency-Key": quoted(idempotencyKey ?? unique()),
    };
    // The same each time: a refusal leaves no batch, and by its key it finds the one there may be.
    const request = plain({ method: "POST", headers, body });
    /** @type {BatchState} */
    const state = await this.#answered("/batches", request, new Limit(options), jsonOf);
    return new Batch(this, state.id, state);
  }

  /** A batch that was submitted before; nothing is sent. @param {string} id */
  submittedBatch(id) {
    return new Batch(this, id);
  }

  /**
   * Time, quality and budgets for a picture that is described, and not sent.
   * @param {EstimateOptions} options
   * @returns {Promise<Estimate>}
   */
  async estimate(options) {
    return this.ask(`/estimate?${queryOf(options)}`, new Limit(options), jsonOf);
  }

  /**
   * The models of the service, and its limits.
   * @param {Bounds} [bounds]
   * @returns {Promise<Models>}
   */
  async models(bounds = {}) {
    return this.ask("/models", new Limit(bounds), jsonOf);
  }

  /**
   * The answer to a request without a body, read by `read`.
   * @template T
   * @param {string} path
   * @param {Limit} limit
   * @param {(answer: Response) => Promise<T>} read
   * @param {string} [method]
   * @returns {Promise<T>}
   */
  async ask(path, limit, read, method = "GET") {
    return this.#answered(path, plain({ method }), limit, read);
  }

  /**
   * @template T
   * @param {string} path
   * @param {Picture} picture
   * @param {Options} options
   * @param {Limit} limit
   * @param {(answer: Response) => Promise<T>} read
   * @param {boolean} keyed
   */
  async #submitted(path, picture, options, limit, read, keyed) {
    const { latency_budget_ms: wanted, idempotencyKey: own } = options;
    if (limit.at < Infinity && wanted === undefined && own === undefined) {
      this.#mostBudgetMs ??= /** @type {Models} */ (await this.ask("/models", limit, jsonOf)).limits
        .max_budget_ms;
    }
    const request = new Submission(picture, options, this.#mostBudgetMs ?? Infinity, keyed);
    return this.#answered(path, request, limit, read);
  }

  /**
   * The successful answer to a request, with the retries before it.
   * @template T
   * @param {string} path
   * @param {Pick<Submission, "failed"> & {
   *   next: (limit: Limit) => {query: URLSearchParams | undefined, init: RequestInit}
   * }} request
   * @param {Limit} limit
   * @param {(answer: Response) => Promise<T>} read
   * @param {(path: string, init: RequestInit) => Promise<Response>} send
   * @returns {Promise<T>}
   */
  async #answered(path, request, limit, read, send = this.send) {
    const began = performance.now();
    const tries = { made: 0, broken: 0, waitedMs: 0 };
    for (;;) {
      limit.check();
      const { query, init } = request.next(limit);
      try {
        return await limit.during(async (signal) => {
          const full = query === undefined ? path : `${path}?${query}`;
          const answer = await send(full, { ...init, signal });
          if (!answer.ok) throw await errorOfAnswer(answer);
          return read(answer);
        });
      } catch (error) {
        if (!(error instanceof AnysrError)) throw error;
        tries.made += 1;
        tries.broken += error instanceof Busy || error instanceof Conflict ? 0 : 1;
        tries.waitedMs = performance.now() - began;
        const pause = pauseBeforeNext(this.retries, tries, error, limit.leftMs, Math.random());
        if (pause === undefined) throw error;
        request.failed(error);
        await limit.pause(pause);
      }
    }
  }
}

/** @param {Response} answer */
const pictureOf = async (answer) => upscaledOf(answer, await answer.blob());

/** @param {Response} answer */
const jsonOf = async (answer) => {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    const detail = `the server answered ${answer.status}, which is no answer of AnySR`;
    throw new UnexpectedAnswer(detail, { code: "unexpected_answer", status: answer.status });
  }
};

/**
 * What a job and a batch have in common: a state that changes until it ends.
 * @template {{status: string}} State
 */
class Watched {
  /**
   * @param {Client} client
   * @param {string} id
   * @param {string} path
   * @param {State} [last] Its state as it was last seen.
   * @param {number} [at] Its deadline, by `performance.now()`.
   */
  constructor(client, id, path, last, at) {
    this.at = at;
    this.client = client;
    this.id = id;
    this.last = last;
    this.path = path;
  }

  /** It as it is now. @param {Bounds} [bounds] */
  async state(bounds = {}) {
    return this.seen(new Limit(bounds, this.at));
  }

  /**
   * It at once and at each change, until it has ended.
   * @param {Bounds} [bounds]
   * @returns {AsyncGenerator<State, void, void>}
   */
  async *events(bounds = {}) {
    yield* this.#watched(new Limit(bounds, this.at));
  }

  /**
   * It once it has ended, however it did.
   * @param {Bounds} [bounds]
   * @returns {Promise<State>}
   */
  async wait(bounds = {}) {
    return this.ended(new Limit(bounds, this.at));
  }

  /** Withdraw it; what has ended does not change. @param {Bounds} [bounds] */
  async cancel(bounds = {}) {
    return this.seen(new Limit(bounds, this.at), "DELETE");
  }

  /** @protected @param {Limit} limit @param {string} [method] @returns {Promise<State>} */
  async seen(limit, method = "GET") {
    /** @type {State} */
    const state = await this.client.ask(this.path, limit, jsonOf, method);
    this.last = state;
    return state;
  }

  /** @protected @param {Limit} limit */
  async ended(limit) {
    /** @type {State | undefined} */
    let last;
    for await (const state of this.#watched(limit)) last = state;
    return /** @type {State} */ (last);
  }

  /**
   * Yield each state, from the events, and by asking where they break off.
   * @param {Limit} limit
   * @returns {AsyncGenerator<State, void, void>}
   */
  async *#watched(limit) {
    let shown = "";
    let pause = 100;
    for (;;) {
      const before = shown;
      for await (const state of this.#rounds(limit)) {
        const text = JSON.stringify(state);
        if (text !== shown) {
          shown = text;
          this.last = state;
          yield state;
        }
        if (hasEnded(state)) return;
      }
      pause = shown === before ? Math.min(2 * pause, 5_000) : 100;
      await limit.pause(Math.min(pause, Math.max(0, limit.leftMs)));
    }
  }

  /** @param {Limit} limit @returns {AsyncGenerator<State, void, void>} */
  async *#rounds(limit) {
    try {
      yield* this.#heard(limit);
    } catch (error) {
      // A gateway that stops ends its streams, and some proxies pass none on.
      const passing = [ConnectionFailed, Busy, UnexpectedAnswer];
      if (!passing.some((family) => error instanceof family)) throw error;
    }
    yield await this.seen(limit);
  }

  /** @param {Limit} limit @returns {AsyncGenerator<State, void, void>} */
  async *#heard(limit) {
    limit.check();
    const stop = new AbortController();
    /** @template T @param {(signal: AbortSignal) => Promise<T>} work */
    const during = (work) =>
      limit.during((signal) => {
        signal.addEventListener("abort", () => stop.abort(signal.reason));
        return work(stop.signal);
      }, LONGEST_QUIET_MS);
    try {
      const answer = await during(async (signal) => {
        const headers = { Accept: "text/event-stream" };
        const answer = await this.client.send(`${this.path}/events`, { headers, signal });
        if (!answer.ok) throw await errorOfAnswer(answer);
        return answer;
      });
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const piece = await during(async () => reader?.read());
        if (piece === undefined || piece.done) return;
        const events = (text + piece.value).split(/\r\n\r\n|\n\n|\r\r/);
        text = events.pop() ?? "";
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1];
          if (data !== undefined) yield JSON.parse(data);
        }
      }
    } finally {
      stop.abort();
    }
  }
}

/**
 * A job of the service. It outlives this object: its `id` finds it again. The deadline with which
 * it was submitted stands in for those that its calls lack.
 * @extends {Watched<JobState>}
 */
export class Job extends Watched {
  /**
   * @param {Client} client
   * @param {string} id
   * @param {JobState} [last] The job as it was last seen.
   * @param {number} [at] Its deadline, by `performance.now()`.
   */
  constructor(client, id, last, at) {
    super(client, id, `/jobs/${encodeURIComponent(id)}`, last, at);
  }

  /**
   * The picture, once the job has ended. Throws the job's error if it failed.
   * @param {Bounds} [bounds]
   * @returns {Promise<Upscaled>}
   */
  async result(bounds = {}) {
    const limit = new Limit(bounds, this.at);
    // A browser hides the answer that leads elsewhere, and with it what is said of the picture.
    const path = `${this.path}/result?redirect=false`;
    try {
      return await this.client.ask(path, limit, pictureOf);
    } catch (error) {
      if (!(error instanceof Conflict && error.code === "job_not_finished")) throw error;
    }
    await this.ended(limit);
    return this.client.ask(path, limit, pictureOf);
  }
}

/** Sources that are asked for at once. */
const PAGE = 1000;

/**
 * A batch of the service. It outlives this object: its `id` finds it again.
 * @extends {Watched<BatchState>}
 */
export class Batch extends Watched {
  /**
   * @param {Client} client
   * @param {string} id
   * @param {BatchState} [last] The batch as it was last seen.
   */
  constructor(client, id, last) {
    super(client, id, `/batches/${encodeURIComponent(id)}`, last);
  }

  /**
   * All sources as they are now, in the order in which they were given. The picture of one is
   * `client.job(source.job_id).result()`.
   * @param {Bounds} [bounds]
   * @returns {Promise<SourceState[]>}
   */
  async sources(bounds = {}) {
    const limit = new Limit(bounds);
    /** @type {SourceState[]} */
    const found = [];
    /** @type {number | null} */
    let cursor = 0;
    while (cursor !== null) {
      const path = `${this.path}/items?cursor=${cursor}&limit=${PAGE}`;
      /** @type {{items: SourceState[], next_cursor: number | null}} */
      const page = await this.client.ask(path, limit, jsonOf);
      found.push(...page.items);
      cursor = page.next_cursor;
    }
    return found;
  }
}

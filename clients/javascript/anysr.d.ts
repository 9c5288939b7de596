/**
 * Client of AnySR Serve: upscales pictures by any real scale within a latency budget. One module
 * without dependencies, for browsers and Node 18 or later. Times are milliseconds. Options and the
 * service's JSON have the names of its HTTP interface.
 *
 *     const client = new Client({ server: "http://127.0.0.1:8000" });
 *     const larger = await client.upscale(file, { scale: 2.5, deadlineMs: 3000 });
 */
/** The version, which is that of the service in the same repository. */
export declare const VERSION = "0.1.0";
export type Picture = Blob | ArrayBuffer | Uint8Array | URL | Uploaded;
export type OutputOptions = {
    /**
     * Output size / input size, from 1 to 8.
     */
    scale?: number;
    /**
     * The scale of the height; needs `scale_w`.
     */
    scale_h?: number;
    scale_w?: number;
    /**
     * When the deadline cannot be met: a picture anyway,
     * or an error.
     */
    on_miss?: "degrade" | "reject";
    /**
     * A name from `models()`.
     */
    model?: string;
    /**
     * The network width to run at.
     */
    anysr_width?: number;
    /**
     * Least network width that may run.
     */
    min_width?: number;
    /**
     * Least expected PSNR-Y, in dB.
     */
    min_db?: number;
    /**
     * How much compression damage to clean up, 0 to 1.
     */
    strength?: number | "auto";
};
export type PictureOptions = {
    /**
     * Output width in pixels; alone it keeps the aspect ratio.
     */
    width?: number;
    height?: number;
    /**
     * From the end of the upload to the finished answer; by
     * default what the picture needs, or what remains until the deadline.
     */
    latency_budget_ms?: number;
    /**
     * Format of the output.
     */
    format?: string;
    /**
     * 1 to 100, for lossy formats.
     */
    quality?: number;
    lossless?: boolean;
    metadata?: "keep" | "copyright" | "none";
    /**
     * Which frame or page, counted from 0.
     */
    frame?: number;
    /**
     * RRGGBB.
     */
    background?: string;
};
export type Bounds = {
    /**
     * From now; it covers retries and waiting, and the budget that is
     * sent ends before it.
     */
    deadlineMs?: number;
    /**
     * Ends the call; its reason is thrown.
     */
    signal?: AbortSignal;
};
export type Options = OutputOptions & PictureOptions & Bounds & {
    idempotencyKey?: string;
};
export type JobOptions = Options & {
    webhook_url?: string;
    result?: string;
    result_url?: string;
    durable?: boolean;
};
export type Described = {
    width: number;
    height: number;
    format: string;
    output_width?: number;
    output_height?: number;
    output_format?: string;
};
export type EstimateOptions = OutputOptions & Described & Bounds;
export type Run = {
    /**
     * `lanczos` for plain resampling.
     */
    model: string;
    width: number;
    reason: string;
    predicted_ms: number;
    run_ms: number;
    stages_ms: Record<string, number>;
    expected_db: number | null;
    expected_db_range: [number, number] | null;
    strength: number;
    tiles: number;
    converted: boolean;
};
export type JobState = {
    id: string;
    status: "queued" | "running" | "succeeded" | "failed" | "cancelled";
    /**
     * From 0 to 1.
     */
    progress: number;
    submitted_ms: number;
    deadline_ms: number;
    finished_ms: number | null;
    output_width: number;
    output_height: number;
    /**
     * Null until it has ended.
     */
    run: Run | null;
    /**
     * Why it has failed or was cancelled.
     */
    error: Problem | null;
    /**
     * Null without `webhook_url`.
     */
    webhook: Webhook | null;
    /**
     * Null without `result` and `result_url`.
     */
    destination: Destination | null;
};
export type Destination = {
    /**
     * `s3://bucket/key`, or scheme and host of `result_url`.
     */
    place: string;
    state: "waiting" | "stored" | "given_up" | "no_picture";
    attempts: number;
    /**
     * Why the last attempt has failed.
     */
    error: Problem | null;
    next_attempt_ms: number | null;
    stored_ms: number | null;
    given_up_ms: number | null;
};
export type Webhook = {
    host: string;
    attempts: number;
    /**
     * HTTP status, or code of the error, of the last attempt.
     */
    last_answer: string | null;
    next_attempt_ms: number | null;
    delivered_ms: number | null;
    given_up_ms: number | null;
};
export type Problem = Record<string, unknown> & {
    code: string;
    detail: string;
    status?: number;
};
export type Rung = {
    model: string;
    width: number;
    expected_ms: number;
    safe_ms: number;
    budget_ms: number;
    expected_db: number | null;
};
export type Estimate = {
    /**
     * Cheapest first, each better than all before it.
     */
    rungs: Rung[];
    wait_ms: number;
    smallest_budget_ms: number;
    default_budget_ms: number;
    output_width: number;
    output_height: number;
};
export type Model = {
    name: string;
    description: string;
    licence: string;
    default: boolean;
    min_scale: number;
    max_scale: number;
    fixed_scale: number | null;
    /**
     * Narrowest first.
     */
    widths: number[];
    ready: boolean;
    on_demand: boolean;
    in_ladder: boolean;
    takes_strength: boolean;
    backends: string[];
};
export type Format = {
    name: string;
    label: string;
    media_type: string;
    suffixes: string[];
    written_as: string;
    max_side: number;
    lossy: boolean;
    lossless: boolean;
    transparency: boolean;
};
export type Limits = {
    max_body_bytes: number;
    max_source_pixels: number;
    max_output_pixels: number;
    max_budget_ms: number;
    formats: Format[];
};
export type Models = {
    default: string;
    models: Model[];
    untrained: string[];
    limits: Limits;
};
export type Upscaled = {
    picture: Blob;
    mediaType: string;
    jobId: string;
    /**
     * `lanczos` for plain resampling.
     */
    model: string;
    /**
     * Network width; 0 for plain resampling.
     */
    width: number;
    /**
     * Of height and width, in two decimals.
     */
    scales: [number, number];
    /**
     * Why this width.
     */
    reason: string;
    budgetMs: number;
    /**
     * From the end of the upload to the finished answer.
     */
    elapsedMs: number;
    /**
     * Whether that was within the budget.
     */
    met: boolean;
    /**
     * How much compression damage was cleaned up, 0 to 1.
     */
    strength: number;
    predictedMs: number | null;
    expectedDb: number | null;
    /**
     * Whether colours were converted.
     */
    converted: boolean;
};
export type Place = {
    id: string;
    method: string;
    url: string;
    /**
     * What the request must have.
     */
    headers: Record<string, string>;
    valid_s: number;
};
export type BatchItem = {
    /**
     * Its place in the sources, from 0.
     */
    index: number;
    source: Picture;
    upscaled?: Upscaled;
    error?: AnysrError;
};
export type Source = {
    /**
     * `https://host/path` or `s3://bucket/key`.
     */
    image_url: string;
    /**
     * What its caller calls it; it comes back with the source.
     */
    name?: string;
    /**
     * Where its picture is put: `s3://bucket/key`.
     */
    result?: string;
    /**
     * URL to which its picture is PUT, such as a presigned one.
     */
    result_url?: string;
};
export type BatchState = {
    id: string;
    status: "waiting" | "running" | "finished" | "cancelled";
    /**
     * Part of its sources that has ended, from 0 to 1.
     */
    progress: number;
    /**
     * Number of its sources in each state.
     */
    counts: Record<string, number>;
    total: number;
    created_ms: number;
    started_ms: number | null;
    finished_ms: number | null;
    options: Record<string, string>;
    /**
     * Null without `webhook_url`.
     */
    webhook: Webhook | null;
};
export type SourceState = {
    /**
     * Its place in the batch, from 0.
     */
    index: number;
    image_url: string;
    name: string | null;
    /**
     * Where its picture is put; its job tells whether it is there.
     */
    place: string | null;
    state: "waiting" | "running" | "succeeded" | "failed" | "cancelled";
    /**
     * Null before it has begun.
     */
    job_id: string | null;
    /**
     * Why there will be no picture.
     */
    error: Problem | null;
};
export type Retries = {
    /**
     * How long after the first try another one may begin.
     */
    patienceMs: number;
    /**
     * Tries whose connection fails, or to which a proxy answers.
     */
    attempts: number;
    firstPauseMs: number;
    longestPauseMs: number;
};
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
/** What went wrong: `code` is stable, `detail` is a sentence for people. */
export declare class AnysrError extends Error {
    detail: string;
    code: string;
    /** Status of the service's answer; undefined where there was none. */
    status: number | undefined;
    /** After which the service wants to be asked again. */
    retryAfterMs: number | undefined;
    /** All members of the service's problem, such as `smallest_feasible_ms`. */
    members: Problem | undefined;
    /**
     * @param {string} detail
     * @param {{code: string, status?: number, retryAfterMs?: number, members?: Problem}} facts
     */
    constructor(detail: string, { code, status, retryAfterMs, members }: {
        code: string;
        status?: number;
        retryAfterMs?: number;
        members?: Problem;
    });
}
/** A parameter is wrong, or names what the service lacks. */
export declare class InvalidRequest extends AnysrError {
}
/** The picture cannot be read, or is too large. */
export declare class PictureRefused extends AnysrError {
}
/** No idle service could meet this budget, or no network reaches this quality. */
export declare class Infeasible extends AnysrError {
}
/** The address from which the service was to take the picture did not answer as needed. */
export declare class SourceFailed extends AnysrError {
}
/** The key is missing, unknown, or not allowed to do this. */
export declare class AccessDenied extends AnysrError {
}
/** The job is unknown, or its picture is kept no longer. */
export declare class NotFound extends AnysrError {
}
/** The job has no picture: unfinished or cancelled; or an idempotency key is in use. */
export declare class Conflict extends AnysrError {
}
/** The service cannot take the request at the moment. */
export declare class Busy extends AnysrError {
}
/** An error of the service. */
export declare class ServiceFailed extends AnysrError {
}
/** The caller's deadline has passed, or that of the job. */
export declare class DeadlineExceeded extends AnysrError {
}
/** There was no answer, or it broke off. */
export declare class ConnectionFailed extends AnysrError {
}
/** What answered is no such service. */
export declare class UnexpectedAnswer extends AnysrError {
}
export type Family = typeof AnysrError;
/** What bounds one call: a point in time, by `performance.now()`, and the caller's signal. */
declare class Limit {
    at: number;
    caller: AbortSignal | undefined;
    /** @param {Bounds} bounds @param {number} [at] The deadline where `bounds` has none. */
    constructor({ deadlineMs, signal }: Bounds, at?: number);
    get leftMs(): number;
    /** Throw the caller's reason, or DeadlineExceeded. */
    check(): void;
    /**
     * Do something that heeds a signal, which is aborted at the deadline, by the caller, and after
     * `quietMs` without `alive()`.
     * @template T
     * @param {(signal: AbortSignal, alive: () => void) => Promise<T>} work
     * @param {number} [quietMs]
     * @returns {Promise<T>}
     */
    during<T>(work: (signal: AbortSignal, alive: () => void) => Promise<T>, quietMs?: number): Promise<T>;
    /** Wait, until the deadline at most. @param {number} ms */
    pause(ms: number): Promise<void>;
}
/** @type {Readonly<Retries>} */
export declare const RETRIES: Readonly<Retries>;
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
export declare function pauseBeforeNext(retries: Retries, tries: {
    made: number;
    broken: number;
    waitedMs: number;
}, error: AnysrError, leftMs: number, chance: number): number | undefined;
/** A picture that is in the service's store already, for one request. */
export declare class Uploaded {
    id: string;
    /** @param {string} id */
    constructor(id: string);
}
/** Calls a service of AnySR. */
export declare class Client {
    #private;
    /** The service's address. */
    server: string;
    /** @type {Readonly<Retries>} */
    retries: Readonly<Retries>;
    /**
     * Send a request to a path of the service.
     * @type {(path: string, init: RequestInit) => Promise<Response>}
     */
    send: (path: string, init: RequestInit) => Promise<Response>;
    /**
     * Send a request to the service's store, which must not get the key.
     * @type {(url: string, init: RequestInit) => Promise<Response>}
     */
    sendElsewhere: (url: string, init: RequestInit) => Promise<Response>;
    /**
     * @param {object} [settings]
     * @param {string} [settings.server] The service's address; by default that of the page.
     * @param {string} [settings.key] The caller's key.
     * @param {Partial<Retries>} [settings.retries]
     * @param {typeof fetch} [settings.fetch] What sends requests.
     */
    constructor({ server, key, retries, fetch: send }?: {
        server?: string;
        key?: string;
        retries?: Partial<Retries>;
        fetch?: typeof fetch;
    });
    /**
     * Upscale a picture. Only a caller's own idempotency key is sent: the service ends a job without
     * one when the connection breaks, and keeps no picture that it has delivered.
     * @param {Picture} picture
     * @param {Options} options
     * @returns {Promise<Upscaled>}
     */
    upscale(picture: Picture, options: Options): Promise<Upscaled>;
    /**
     * Submit the job that makes a picture. The deadline is that of the job as well. Each call has an
     * idempotency key; give one to submit the same job again from elsewhere.
     * @param {Picture} picture
     * @param {JobOptions} options
     * @returns {Promise<Job>}
     */
    submit(picture: Picture, options: JobOptions): Promise<Job>;
    /**
     * Write a picture into the service's store, past the service itself, and return what one
     * `upscale` or `submit` takes in its place. Throws InvalidRequest where there is no store, a
     * TypeError for an address.
     * @param {Picture} picture
     * @param {Bounds} [bounds]
     * @returns {Promise<Uploaded>}
     */
    upload(picture: Picture, bounds?: Bounds): Promise<Uploaded>;
    /** A job that was submitted before; nothing is sent. @param {string} id */
    job(id: string): Job;
    /**
     * Upscale many pictures with the same options, `concurrency` of them at once, and yield each as
     * soon as it is made. One that fails is an item with its error; the others go on.
     * @param {Iterable<Picture>} sources
     * @param {Options & {concurrency?: number}} options
     * @returns {AsyncGenerator<BatchItem, void, void>}
     */
    batch(sources: Iterable<Picture>, { concurrency, ...options }: Options & {
        concurrency?: number;
    }): AsyncGenerator<BatchItem, void, void>;
    /**
     * Submit a batch of many pictures, by their addresses, with the same options. The service fetches
     * and makes them while it has room, beneath the work of callers who wait, so the deadline is that
     * of this call alone. One that fails stops no other. Each call has an idempotency key; give one
     * to submit the same batch again from elsewhere.
     * @param {Iterable<string | URL | Source>} sources
     * @param {Options & {webhook_url?: string}} options
     * @returns {Promise<Batch>}
     */
    submitBatch(sources: Iterable<string | URL | Source>, options: Options & {
        webhook_url?: string;
    }): Promise<Batch>;
    /** A batch that was submitted before; nothing is sent. @param {string} id */
    submittedBatch(id: string): Batch;
    /**
     * Time, quality and budgets for a picture that is described, and not sent.
     * @param {EstimateOptions} options
     * @returns {Promise<Estimate>}
     */
    estimate(options: EstimateOptions): Promise<Estimate>;
    /**
     * The models of the service, and its limits.
     * @param {Bounds} [bounds]
     * @returns {Promise<Models>}
     */
    models(bounds?: Bounds): Promise<Models>;
    /**
     * The answer to a request without a body, read by `read`.
     * @template T
     * @param {string} path
     * @param {Limit} limit
     * @param {(answer: Response) => Promise<T>} read
     * @param {string} [method]
     * @returns {Promise<T>}
     */
    ask<T>(path: string, limit: Limit, read: (answer: Response) => Promise<T>, method?: string): Promise<T>;
}
/**
 * What a job and a batch have in common: a state that changes until it ends.
 * @template {{status: string}} State
 */
declare class Watched<State extends {
    status: string;
}> {
    #private;
    at: number | undefined;
    client: Client;
    id: string;
    last: State | undefined;
    path: string;
    /**
     * @param {Client} client
     * @param {string} id
     * @param {string} path
     * @param {State} [last] Its state as it was last seen.
     * @param {number} [at] Its deadline, by `performance.now()`.
     */
    constructor(client: Client, id: string, path: string, last?: State, at?: number);
    /** It as it is now. @param {Bounds} [bounds] */
    state(bounds?: Bounds): Promise<State>;
    /**
     * It at once and at each change, until it has ended.
     * @param {Bounds} [bounds]
     * @returns {AsyncGenerator<State, void, void>}
     */
    events(bounds?: Bounds): AsyncGenerator<State, void, void>;
    /**
     * It once it has ended, however it did.
     * @param {Bounds} [bounds]
     * @returns {Promise<State>}
     */
    wait(bounds?: Bounds): Promise<State>;
    /** Withdraw it; what has ended does not change. @param {Bounds} [bounds] */
    cancel(bounds?: Bounds): Promise<State>;
    /** @protected @param {Limit} limit @param {string} [method] @returns {Promise<State>} */
    protected seen(limit: Limit, method?: string): Promise<State>;
    /** @protected @param {Limit} limit */
    protected ended(limit: Limit): Promise<State>;
}
/**
 * A job of the service. It outlives this object: its `id` finds it again. The deadline with which
 * it was submitted stands in for those that its calls lack.
 * @extends {Watched<JobState>}
 */
export declare class Job extends Watched<JobState> {
    /**
     * @param {Client} client
     * @param {string} id
     * @param {JobState} [last] The job as it was last seen.
     * @param {number} [at] Its deadline, by `performance.now()`.
     */
    constructor(client: Client, id: string, last?: JobState, at?: number);
    /**
     * The picture, once the job has ended. Throws the job's error if it failed.
     * @param {Bounds} [bounds]
     * @returns {Promise<Upscaled>}
     */
    result(bounds?: Bounds): Promise<Upscaled>;
}
/**
 * A batch of the service. It outlives this object: its `id` finds it again.
 * @extends {Watched<BatchState>}
 */
export declare class Batch extends Watched<BatchState> {
    /**
     * @param {Client} client
     * @param {string} id
     * @param {BatchState} [last] The batch as it was last seen.
     */
    constructor(client: Client, id: string, last?: BatchState);
    /**
     * All sources as they are now, in the order in which they were given. The picture of one is
     * `client.job(source.job_id).result()`.
     * @param {Bounds} [bounds]
     * @returns {Promise<SourceState[]>}
     */
    sources(bounds?: Bounds): Promise<SourceState[]>;
}
export {};

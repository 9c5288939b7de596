/**
 * The module of JavaScript against a running service (ANYSR_SERVER), and against a server that
 * fails first. Run by tests/clients/test_javascript.py; PHOTO names a JPEG of 40 x 30 pixels.
 */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, test as testWithin } from "node:test";

import * as anysr from "../../clients/javascript/anysr.js";

const SERVER = /** @type {string} */ (process.env.ANYSR_SERVER);
const photo = new Uint8Array(await readFile(/** @type {string} */ (process.env.PHOTO)));
/** One that hangs fails by its name, and what it leaves open keeps the process no longer. */
const test = (name, work) => testWithin(name, { timeout: 120_000 }, work);
after(() => void setTimeout(() => process.exit(), 1_000).unref());
/** Longer than a stalled machine takes: no test asserts a time. */
const LONG_MS = 600_000;
const QUICK = { firstPauseMs: 1, longestPauseMs: 2 };
const client = new anysr.Client({ server: SERVER, retries: QUICK });

/** Answer requests to paths that begin with `only` by a script, hand all others to the service. */
async function scripted(script, only, work) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const url = new URL(request.url, SERVER);
    const body = Buffer.concat(parts);
    seen.push({ url, method: request.method, headers: request.headers, body });
    const answer = url.pathname.startsWith(only) ? script.shift() : undefined;
    if (answer === "break") return void response.destroy();
    if (answer !== undefined) {
      response.writeHead(answer.status, answer.headers);
      return void response.end(answer.body);
    }
    const headers = { "Content-Type": "application/octet-stream" };
    const init = request.method === "POST" ? { headers, body } : {};
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    try {
      const real = await fetch(url, { ...init, method: request.method, signal: gone.signal });
      const passed = Object.fromEntries(real.headers);
      delete passed.connection;
      response.writeHead(real.status, passed);
      // Piece by piece: of events, a caller must see those that have come.
      await pipeline(Readable.fromWeb(real.body), response);
    } catch (error) {
      if (!gone.signal.aborted) throw error; // else the caller has left
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const faulty = new anysr.Client({
    server: `http://127.0.0.1:${server.address().port}`,
    key: "anysr_key",
    retries: QUICK,
  });
  try {
    await work(faulty, seen);
  } finally {
    server.closeAllConnections?.();
    server.close();
  }
}

const problem = (status, code, after) => ({
  status,
  headers: after === undefined ? {} : { "Retry-After": String(after) },
  body: JSON.stringify({ code, detail: "Not now.", status }),
});
const sentTo = (seen, path) => seen.filter(({ url }) => url.pathname === path);
const budgets = (seen, path) =>
  sentTo(seen, path).map(({ url }) => Number(url.searchParams.get("latency_budget_ms")));
const keys = (seen, path) => sentTo(seen, path).map(({ headers }) => headers["idempotency-key"]);

test("a picture and the facts of its answer", async () => {
  for (const picture of [photo, photo.buffer, new Blob([photo], { type: "image/jpeg" })]) {
    const made = await client.upscale(picture, {
      scale: 2.5,
      model: "anysr-xs",
      anysr_width: 1,
      latency_budget_ms: LONG_MS,
    });
    assert.equal(made.picture.type, "image/jpeg");
    assert.ok(made.picture.size > 500);
    assert.deepEqual([made.model, made.width, made.reason], ["anysr-xs", 1, "pinned"]);
    assert.deepEqual([made.scales, made.budgetMs, made.met], [[2.5, 2.5], LONG_MS, true]);
    assert.ok(made.elapsedMs > 0 && made.expectedDb > 10);
    assert.match(made.jobId, /^[0-9a-f]{32}$/);
  }
});

test("a problem is an error of its family", async () => {
  await assert.rejects(client.upscale(photo, { scale: 9 }), (error) => {
    assert.ok(error instanceof anysr.InvalidRequest);
    assert.deepEqual([error.code, error.status], ["invalid_request", 422]);
    assert.equal(error.members.type, "urn:anysr:error:invalid_request");
    return true;
  });
  await assert.rejects(client.upscale(new Uint8Array([1, 2, 3]), { scale: 2 }), {
    name: "PictureRefused",
    code: "unsupported_image",
  });
  await assert.rejects(client.job("none").wait(), { name: "NotFound", status: 404 });
});

test("a job from submission to picture", async () => {
  const job = await client.submit(photo, { scale: 2, deadlineMs: LONG_MS });
  assert.equal(job.last.output_width, 80);
  const shown = [];
  for await (const state of job.events()) shown.push(state);
  assert.deepEqual([shown.at(-1).status, shown.at(-1).progress], ["succeeded", 1]);
  const made = await job.result();
  assert.deepEqual([made.jobId, made.model], [job.id, shown.at(-1).run.model]);
  assert.deepEqual(await client.job(job.id).wait(), shown.at(-1));
  assert.deepEqual(await job.cancel(), shown.at(-1));
});

test("models, limits and an estimate", async () => {
  const { models, default: name, limits } = await client.models();
  assert.equal(models.find((model) => model.default).name, name);
  assert.equal(limits.max_budget_ms, LONG_MS);
  const found = await client.estimate({ width: 400, height: 300, format: "jpeg", scale: 2 });
  assert.deepEqual([found.output_width, found.output_height], [800, 600]);
});

test("in a batch one bad source fails and the others go on", async () => {
  const items = [];
  const sources = [photo, new Uint8Array([1]), photo, photo];
  const options = { scale: 2, concurrency: 2, deadlineMs: LONG_MS };
  for await (const item of client.batch(sources, options)) items[item.index] = item;
  assert.deepEqual(items.map(({ error }) => error?.name), [
    ...[undefined, "PictureRefused", undefined, undefined],
  ]);
  assert.ok(items[3].upscaled.picture.size > 500);
});

test("a batch of addresses from submission to the end of its sources", async () => {
  const sources = ["https://host.example/a.png", new URL("s3://photos/b.png")];
  const named = { image_url: "https://host.example/c.png", name: "the last" };
  await scripted([problem(429, "overloaded", 0), "break"], "/batches", async (faulty, seen) => {
    const batch = await faulty.submitBatch([...sources, named], {
      scale: 2.5,
      latency_budget_ms: 60000,
      deadlineMs: LONG_MS,
    });
    assert.equal(new Set(keys(seen, "/batches")).size, 1);
    assert.equal(seen[0].url.search, "");
    assert.deepEqual(JSON.parse(seen.at(-1).body), {
      sources: [{ image_url: sources[0] }, { image_url: "s3://photos/b.png" }, named],
      options: { scale: "2.5", latency_budget_ms: "60000" },
    });
    const shown = [];
    for await (const state of client.submittedBatch(batch.id).events()) shown.push(state);
    assert.deepEqual([shown.at(-1).status, shown.at(-1).counts.failed], ["finished", 3]);
    assert.deepEqual(await batch.wait(), shown.at(-1));
    assert.deepEqual(await batch.cancel(), shown.at(-1));
    const ended = await batch.sources();
    assert.deepEqual(ended.map(({ name }) => name), [null, null, "the last"]);
    assert.deepEqual(ended.map(({ state }) => state), ["failed", "failed", "failed"]);
    assert.equal(ended[0].error.code, "source_not_allowed");
  });
  await assert.rejects(client.submitBatch([], { scale: 2 }), { name: "InvalidRequest" });
  await assert.rejects(client.submittedBatch("none").state(), { name: "NotFound" });
});

test("an upscaling is repeated with what remains", async () => {
  const script = [problem(429, "overloaded", 0), "break"];
  await scripted(script, "/upscale", async (faulty, seen) => {
    const made = await faulty.upscale(photo, { scale: 2, deadlineMs: LONG_MS });
    assert.equal(made.mediaType, "image/jpeg");
    const [first, second, third] = budgets(seen, "/upscale");
    assert.ok(LONG_MS > first && first > second && second > third && third > 0);
    assert.deepEqual(new Set(keys(seen, "/upscale")), new Set([undefined]));
    assert.ok(sentTo(seen, "/upscale").every(({ body }) => Buffer.compare(body, photo) === 0));
    assert.ok(seen.every(({ headers }) => headers.authorization === "Bearer anysr_key"));
  });
});

test("a refused job is submitted with a new key and what remains", async () => {
  const script = [problem(429, "overloaded", 0), problem(503, "not_ready", 0)];
  await scripted(script, "/jobs", async (faulty, seen) => {
    const job = await faulty.submit(photo, { scale: 2, deadlineMs: LONG_MS });
    assert.equal(job.last.output_width, 80);
    const [first, second, third] = budgets(seen, "/jobs");
    assert.ok(LONG_MS > first && first > second && second > third && third > 0);
    assert.equal(new Set(keys(seen, "/jobs")).size, 3);
  });
  await scripted([], "/jobs", async (faulty, seen) => {
    await faulty.submit(photo, { scale: 2, deadlineMs: 9000, idempotencyKey: 'the "first"' });
    assert.deepEqual(keys(seen, "/jobs"), ['"the \\"first\\""']);
    assert.equal(seen[0].url.search, "?scale=2");
    const wrong = { scale: 2, idempotencyKey: "é" };
    await assert.rejects(faulty.submit(photo, wrong), { name: "RangeError" });
  });
});

test("an address is sent in place of a picture", async () => {
  await scripted([], "/", async (faulty, seen) => {
    const address = new URL("https://host.example/a.png?c=1&d");
    const denied = { name: "AccessDenied", code: "source_not_allowed" };
    await assert.rejects(faulty.upscale(address, { scale: 2 }), denied);
    assert.equal(seen[0].url.searchParams.get("image_url"), address.href);
    assert.equal(seen[0].body.length, 0);
  });
});

test("a request that may have left a job is repeated as it was", async () => {
  for (const fault of ["break", { status: 502, body: "<html>" }, problem(409, "in_use", 0)]) {
    const script = [fault, problem(503, "not_ready", 0)];
    await scripted(script, "/jobs", async (faulty, seen) => {
      await faulty.submit(photo, { scale: 2, deadlineMs: LONG_MS });
      assert.equal(budgets(seen, "/jobs").length, 3);
      assert.equal(new Set(budgets(seen, "/jobs")).size, 1);
      assert.equal(new Set(keys(seen, "/jobs")).size, 1);
    });
  }
});

test("a picture is uploaded without the key, and a lost answer is not its loss", async () => {
  for (const answers of [[{ status: 200 }], ["break", { status: 412 }]]) {
    const [times, stored] = [answers.length, []];
    const store = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      stored.push({ headers: request.headers, body: Buffer.concat(parts) });
      const answer = answers.shift();
      if (answer === "break") return void response.destroy();
      response.writeHead(answer.status).end();
    });
    await new Promise((resolve) => store.listen(0, "127.0.0.1", resolve));
    const place = {
      id: "a-place",
      method: "PUT",
      url: `http://127.0.0.1:${store.address().port}/pictures/a?X-Amz-Signature=secret`,
      headers: {
        "Content-Type": "image/png",
        "Content-Length": String(photo.length),
        "If-None-Match": "*",
      },
      valid_s: 900,
    };
    const script = [{ status: 201, body: JSON.stringify(place) }];
    await scripted(script, "/uploads", async (faulty, seen) => {
      const uploaded = await faulty.upload(new Blob([photo], { type: "image/jpeg" }));
      assert.deepEqual([uploaded instanceof anysr.Uploaded, uploaded.id], [true, "a-place"]);
      // This service keeps its pictures in Redis: it takes no upload, and none was there.
      await assert.rejects(faulty.submit(uploaded, { scale: 2 }), anysr.AnysrError);
      const [order, job] = seen;
      assert.deepEqual(JSON.parse(order.body), { bytes: photo.length });
      assert.deepEqual([job.url.pathname, job.body.length], ["/jobs", 0]);
      assert.equal(job.url.searchParams.get("upload"), "a-place");
      assert.ok(seen.every(({ headers }) => headers.authorization === "Bearer anysr_key"));
    });
    assert.equal(stored.length, times);
    for (const { headers, body } of stored) {
      assert.deepEqual(body, Buffer.from(photo));
      assert.equal(headers.authorization, undefined);
      assert.deepEqual([headers["content-type"], headers["if-none-match"]], ["image/png", "*"]);
      assert.equal(headers["content-length"], String(photo.length));
    }
    store.closeAllConnections?.();
    store.close();
  }
});

test("what cannot be uploaded is an error", async () => {
  await assert.rejects(client.upload(new URL("https://example.com/a.png")), TypeError);
  await assert.rejects(client.upload(new anysr.Uploaded("a")), TypeError);
  const error = { name: "InvalidRequest", code: "uploads_disabled", status: 403 };
  await assert.rejects(client.upload(photo), error);
});

test("what patience, deadline and attempts end is raised", async () => {
  await scripted([problem(429, "quota_exceeded", 9999)], "/", async (faulty, seen) => {
    const error = { name: "Busy", code: "quota_exceeded", retryAfterMs: 9999000 };
    await assert.rejects(faulty.upscale(photo, { scale: 2 }), error);
    assert.equal(seen.length, 1);
  });
  await scripted([problem(503, "not_ready", 30)], "/models", async (faulty, seen) => {
    await assert.rejects(faulty.models({ deadlineMs: 20000 }), { name: "Busy" });
    assert.equal(seen.length, 1);
  });
  await scripted(Array(9).fill("break"), "/", async (faulty, seen) => {
    await assert.rejects(faulty.models(), { name: "ConnectionFailed" });
    assert.equal(seen.length, 4);
  });
  await scripted([{ status: 200, body: "<html>" }], "/", async (faulty, seen) => {
    await assert.rejects(faulty.models(), { name: "UnexpectedAnswer" });
    assert.equal(seen.length, 1);
  });
});

test("a signal and a deadline end a call", async () => {
  const reason = new Error("no longer wanted");
  const gone = { scale: 2, signal: AbortSignal.abort(reason) };
  await assert.rejects(client.upscale(photo, gone), reason);
  await assert.rejects(client.models({ deadlineMs: 0 }), { name: "DeadlineExceeded" });
  const stop = new AbortController();
  const silent = createServer(() => stop.abort(reason));
  await new Promise((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const server = `http://127.0.0.1:${silent.address().port}`;
  const deaf = new anysr.Client({ server });
  await assert.rejects(deaf.models({ signal: stop.signal }), reason);
  await assert.rejects(deaf.models({ deadlineMs: 100 }), { name: "DeadlineExceeded" });
  await assert.rejects(deaf.job("a").wait({ deadlineMs: 100 }), { name: "DeadlineExceeded" });
  silent.closeAllConnections?.();
  silent.close();
});

test("a job is watched where its events break off", async () => {
  const cut = {
    status: 200,
    headers: { "Content-Type": "text/event-stream" },
    body: "event: job\ndata: {",
  };
  for (const faults of [["break"], [problem(503, "not_ready", 0), "break"], [cut]]) {
    await scripted([], "/jobs/", async (faulty, seen) => {
      const job = await faulty.submit(photo, { scale: 2 });
      await scripted(faults, `/jobs/${job.id}/events`, async (other) => {
        assert.equal((await other.job(job.id).wait({ deadlineMs: LONG_MS })).status, "succeeded");
      });
      assert.equal(seen.length, 1);
    });
  }
});

test("a pause is never shorter than Retry-After, doubles, and ends at every bound", () => {
  const busy = (ms) => new anysr.Busy("", { code: "overloaded", retryAfterMs: ms });
  const pause = (made, ms, left = Infinity, chance = 1, waitedMs = 0) =>
    anysr.pauseBeforeNext(anysr.RETRIES, { made, broken: 0, waitedMs }, busy(ms), left, chance);
  assert.deepEqual([1, 2, 3, 9].map((made) => pause(made, 0)), [250, 500, 1000, 8000]);
  assert.equal(pause(1, 3000, Infinity, 0), 3000);
  assert.equal(pause(1, 3000, 3250), undefined);
  assert.equal(pause(1, 3000, Infinity, 1, 58000), undefined);
});

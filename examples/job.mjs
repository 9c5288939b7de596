/**
 * Upscale one picture as a job, and show its progress: `node job.mjs INPUT SCALE OUTPUT`.
 * Needs Node 18 or later. In a browser only the two calls that read and write a file differ.
 */

import { readFile, writeFile } from "node:fs/promises";

const SERVER = process.env.ANYSR_SERVER ?? "http://127.0.0.1:8000";

/** Return an answer, or throw its problem as an error. */
async function call(path, options) {
  const answer = await fetch(new URL(path, SERVER), options);
  if (!answer.ok) {
    const problem = await answer.json();
    throw new Error(`${problem.code}: ${problem.detail}`);
  }
  return answer;
}

/** Yield the job of each server-sent event until the job ends. */
async function* events(path) {
  const answer = await call(path);
  let text = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split(/\r?\n\r?\n/);
    text = parts.pop();
    for (const part of parts) {
      const data = /^data: ?(.*)$/m.exec(part);
      if (data) yield JSON.parse(data[1]);
    }
  }
}

const [source, scale, target] = process.argv.slice(2);
const form = new FormData();
form.set("image", new Blob([await readFile(source)]), source);
form.set("scale", scale);

try {
  let job = await (await call("/jobs", { method: "POST", body: form })).json();
  for await (job of events(job.links.events)) {
    console.log(`${job.status} ${Math.round(100 * job.progress)} %`);
  }
  const picture = await call(job.links.result); // throws the error of a failed job
  await writeFile(target, Buffer.from(await picture.arrayBuffer()));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

/**
 * Upscale one picture as a job, and show its progress: `node job.mjs INPUT SCALE OUTPUT`.
 * Needs Node 18 or later. In a browser only the two calls that read and write a file differ.
 */

import { readFile, writeFile } from "node:fs/promises";
import { AnysrError, Client } from "../clients/javascript/anysr.js";

const client = new Client({ server: process.env.ANYSR_SERVER });
const [source, scale, target] = process.argv.slice(2);

try {
  const job = await client.submit(await readFile(source), { scale: Number(scale) });
  for await (const { status, progress } of job.events()) {
    console.log(`${status} ${Math.round(100 * progress)} %`);
  }
  const { picture } = await job.result(); // throws the error of a failed job
  await writeFile(target, Buffer.from(await picture.arrayBuffer()));
} catch (error) {
  if (!(error instanceof AnysrError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

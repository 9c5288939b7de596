/**
 * Uploads a picture to the store of a running service by the module of JavaScript, and has it
 * upscaled. Run by tests/service/test_stored_uploads_http.py: node upload.mjs SERVER PICTURE RESULT.
 */

import { readFile, writeFile } from "node:fs/promises";

import { Client } from "../../clients/javascript/anysr.js";

const [server, picture, result] = process.argv.slice(2);
const client = new Client({ server });
const file = await readFile(picture);
for (const body of [file, new Blob([file], { type: "image/png" })]) {
  const made = await client.upscale(await client.upload(body), { scale: 2 });
  await writeFile(result, made.picture.stream());
}
const job = await client.submit(await client.upload(file.buffer.slice(0)), { scale: 2 });
await job.wait();
console.log(job.last.status);
const uploaded = await client.upload(file);
await client.submit(uploaded, { scale: 2 });
await client.submit(uploaded, { scale: 2 }).catch((error) => console.log(error.code));

// A caller with the types that openapi-typescript makes of the service's description.
// Run with the service's URL and a picture: it upscales it at once, and again as a job.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Problem = components["schemas"]["Problem"];

const [url, file] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });

const picture = new Blob([readFileSync(file)], { type: "image/png" });

// The types describe a file as text; openapi-fetch leaves it to the serializer to make the form.
const image = "";
function bodySerializer(): FormData {
  const form = new FormData();
  form.append("image", picture, "photo.png");
  return form;
}

async function upscale(): Promise<number> {
  const { data, error, response } = await client.POST("/upscale", {
    params: { query: { scale: 2.5, format: "auto" } },
    headers: { Accept: "image/webp" },
    body: { image },
    bodySerializer,
    parseAs: "blob",
  });
  if (error) throw new Error((error as Problem).detail);
  if (response.headers.get("content-type") !== "image/webp") throw new Error("another format");
  return (data as unknown as Blob).size;
}

async function finished(id: string) {
  for (;;) {
    const { data, error } = await client.GET("/jobs/{job_id}", { params: { path: { job_id: id } } });
    if (error) throw new Error(error.detail);
    if (data.status !== "queued" && data.status !== "running") return data;
  }
}

async function asJob() {
  const { data, error } = await client.POST("/jobs", {
    params: { query: { width: 50 } },
    body: { image },
    bodySerializer,
  });
  if (error) throw new Error(error.detail);
  return finished(data.id);
}

async function refusal(): Promise<Problem> {
  const { error } = await client.POST("/upscale", { body: { image }, bodySerializer });
  if (!error) throw new Error("a request without a size was not refused");
  return error;
}

const job = await asJob();
console.log(
  JSON.stringify({
    bytes: await upscale(),
    status: job.status,
    width: job.output_width,
    code: (await refusal()).code,
  }),
);

/** Saves all results as one zip. */

import { distinctNames } from "./result-name.js";
import { byId } from "./dom.js";
import { zipped } from "./zip.js";

const NAME = "pictures.zip";
/** The browser has read the archive long before; it refers to blobs that are there anyway. */
const RELEASE_MS = 60_000;

/** @param {import("./entries.js").Entry[]} entries */
export async function saveZip(entries) {
  const files = entries.flatMap(({ result }) => (result === null ? [] : [result.picture.file]));
  const names = distinctNames(files.map(({ name }) => name));
  const button = byId("download-all", HTMLButtonElement);
  const label = button.textContent;
  button.textContent = "Packing";
  try {
    save(await zipped(files.map((blob, i) => ({ name: names[i], blob }))));
    button.textContent = label;
  } catch {
    button.textContent = "Too large for one zip";
  }
}

/** @param {Blob} archive */
function save(archive) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(archive);
  link.download = NAME;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), RELEASE_MS);
}

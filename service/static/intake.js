/** How a picture comes in: chosen, dropped or pasted. */

/** @param {DataTransfer | null} transfer */
function carriedFile(transfer) {
  return [...(transfer?.files ?? [])][0] ?? null;
}

/**
 * @param {object} parts
 * @param {HTMLInputElement} parts.input
 * @param {HTMLElement} parts.zone            lit while a file hangs over the page
 * @param {HTMLElement[]} parts.choosers      buttons that open the file dialogue
 * @param {(file: File) => void} onFile
 */
export function takeFiles({ input, zone, choosers }, onFile) {
  for (const chooser of choosers) chooser.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    // Emptied, so that choosing the same file again counts as a change.
    if (file) onFile(new File([file], file.name, { type: file.type }));
    input.value = "";
  });
  takeDrops(zone, onFile);
  window.addEventListener("paste", (event) => {
    const file = carriedFile(event.clipboardData);
    if (file) onFile(file);
  });
}

/**
 * The whole page takes drops: a file that misses the zone must not replace the page.
 *
 * @param {HTMLElement} zone
 * @param {(file: File) => void} onFile
 */
function takeDrops(zone, onFile) {
  const light = (/** @type {boolean} */ on) => zone.classList.toggle("hovered", on);
  window.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    light(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) light(false);
  });
  window.addEventListener("drop", (event) => {
    light(false);
    const file = carriedFile(event.dataTransfer);
    if (!file) return;
    event.preventDefault();
    onFile(file);
  });
}

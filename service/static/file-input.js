/** Receives picture files that the visitor chooses, drops or pastes. */

/** @param {DataTransfer | null} transfer */
function firstFile(transfer) {
  return [...(transfer?.files ?? [])][0] ?? null;
}

/**
 * @param {object} parts
 * @param {HTMLInputElement} parts.input
 * @param {HTMLElement} parts.dropZone     highlighted while a file is dragged over the page
 * @param {HTMLElement[]} parts.buttons    open the file dialogue
 * @param {(file: File) => void} onFile
 */
export function listenForFiles({ input, dropZone, buttons }, onFile) {
  for (const button of buttons) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) onFile(new File([file], file.name, { type: file.type }));
    // Emptied, so that choosing the same file again counts as a change.
    input.value = "";
  });
  listenForDrops(dropZone, onFile);
  window.addEventListener("paste", (event) => {
    const file = firstFile(event.clipboardData);
    if (file) onFile(file);
  });
}

/**
 * The whole page takes drops: a file that misses the zone must not replace the page.
 *
 * @param {HTMLElement} dropZone
 * @param {(file: File) => void} onFile
 */
function listenForDrops(dropZone, onFile) {
  const highlight = (/** @type {boolean} */ on) => dropZone.classList.toggle("drag-over", on);
  window.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    highlight(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) highlight(false);
  });
  window.addEventListener("drop", (event) => {
    highlight(false);
    const file = firstFile(event.dataTransfer);
    if (!file) return;
    event.preventDefault();
    onFile(file);
  });
}

/** Receives picture files that the visitor chooses, drops or pastes. */

/**
 * Called with what came, at least one file; whether they are to be added to those that are there, or
 * may replace a single one.
 *
 * @typedef {(files: File[], add: boolean) => void} OnFiles
 */

/**
 * @param {object} parts
 * @param {HTMLInputElement} parts.input
 * @param {HTMLElement} parts.dropZone     highlighted while a file is dragged over the page
 * @param {HTMLElement[]} parts.choose     buttons that open the file dialogue
 * @param {HTMLElement[]} parts.add        buttons that open it to add pictures
 * @param {OnFiles} onFiles
 */
export function listenForFiles({ input, dropZone, choose, add }, onFiles) {
  let adding = false;
  const openDialogue = (/** @type {boolean} */ adds) => {
    adding = adds;
    input.click();
  };
  for (const button of choose) button.addEventListener("click", () => openDialogue(false));
  for (const button of add) button.addEventListener("click", () => openDialogue(true));
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    if (files.length > 0) onFiles(files.map((file) => new File([file], file.name, { type: file.type })), adding);
    // Emptied, so that choosing the same file again counts as a change.
    input.value = "";
  });
  listenForDrops(dropZone, onFiles);
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) onFiles(files, false);
  });
}

/**
 * The whole page takes drops: a file that misses the zone must not replace the page.
 *
 * @param {HTMLElement} dropZone
 * @param {OnFiles} onFiles
 */
function listenForDrops(dropZone, onFiles) {
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
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    onFiles(files, false);
  });
}

/** Names the file of a result. */

/**
 * @param {string} name       of the original, e.g. "photo.final.png"
 * @param {import("./settings.js").Settings} settings  as they were sent
 * @param {string} mediaType  of the result
 * @param {import("./api.js").Format[]} formats
 * @returns {string} e.g. "photo.final@2.37x.png", "photo.final@1920w.png"
 */
export function resultName(name, { by, scale, pixels }, mediaType, formats) {
  const stem = name.replace(/\.[^.]{1,5}$/, "") || "picture";
  const size = by === "scale" ? `${scale}x` : `${pixels}${by.charAt(0)}`;
  const known = formats.find(({ media_type }) => media_type === mediaType)?.suffixes[0];
  return `${stem}@${size}${known ?? `.${mediaType.replace(/^image\//, "")}`}`;
}

/**
 * @param {string[]} names
 * @returns {string[]} the same, each once: "a.png" that comes again becomes "a (2).png"; names that
 *     differ in case alone count as the same, as on most computers
 */
export function distinctNames(names) {
  /** @type {Set<string>} */
  const taken = new Set();
  return names.map((name) => {
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) free = name.replace(/(\.[^.]*)?$/, ` (${n})$1`);
    taken.add(free.toLowerCase());
    return free;
  });
}

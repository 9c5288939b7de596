/**
 * The picture that the visitor chose, or the one that the service made of it.
 *
 * @typedef {object} Picture
 * @property {File} file
 * @property {string} url      object URL of `file`; whoever drops the picture revokes it
 * @property {number} width    pixels after orientation; 0 if the browser cannot read the file
 * @property {number} height
 */

/**
 * @param {File} file
 * @returns {Promise<Picture>}
 */
export async function readPicture(file) {
  const url = URL.createObjectURL(file);
  const { width, height } = await sizeOf(url);
  return { file, url, width, height };
}

/**
 * @param {string} url
 * @returns {Promise<{width: number, height: number}>} 0 x 0 if the browser cannot read it
 */
async function sizeOf(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    // This is no error: the service may read what the browser cannot.
    return { width: 0, height: 0 };
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

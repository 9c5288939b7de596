/** Reads parts of a file that is not in memory. */

/**
 * @param {Blob} file
 * @param {number} at      offset in bytes
 * @param {number} length  bytes
 * @returns {Promise<DataView>} rejects where the file is shorter, or cannot be read
 */
export async function bytesAt(file, at, length) {
  const bytes = await file.slice(at, at + length).arrayBuffer();
  if (bytes.byteLength < length) throw new RangeError("the file ends before");
  return new DataView(bytes);
}

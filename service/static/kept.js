/**
 * Keeps pictures and results in this browser (IndexedDB), so that a reload loses nothing: those of one
 * tab, for a day, and of all tabs no more than a bound. Where storage is forbidden or full, the page
 * works without.
 *
 * @typedef {object} KeptPicture
 * @property {number} id         of the entry
 * @property {File} file         the original
 * @property {KeptResult} result
 *
 * @typedef {object} KeptResult
 * @property {File} file
 * @property {import("./run-summary.js").RunSummary} run
 * @property {import("./settings.js").Settings} settings  as they were sent
 * @property {number | null} [frame]  as it was sent
 *
 * @typedef {KeptPicture & {key: string, tab: string, at: number, bytes: number}} KeptRecord
 */

const DATABASE = "anysr";
const STORE = "pictures";
const TAB_KEY = "anysr.tab";
export const MAX_BYTES = 256e6;
const MAX_AGE_MS = 24 * 3600e3;

/** @returns {string} a name for this tab that survives a reload */
function tabName() {
  try {
    const name = sessionStorage.getItem(TAB_KEY) ?? String(Math.random()).slice(2);
    sessionStorage.setItem(TAB_KEY, name);
    return name;
  } catch {
    return "";
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answerOf(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}

/** @returns {Promise<IDBDatabase>} */
async function open() {
  const request = indexedDB.open(DATABASE, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE, { keyPath: "key" }));
  return answerOf(request);
}

export class Kept {
  #tab = tabName();
  /** @type {Promise<IDBDatabase | null>} */
  #database = open().catch(() => null);

  /** @returns {Promise<KeptPicture[]>} those of this tab, in the order of their ids */
  async load() {
    const records = await this.#use(async (store) => {
      await dropOld(store);
      return answerOf(/** @type {IDBRequest<KeptRecord[]>} */ (store.getAll()));
    });
    return (records ?? []).filter(({ tab }) => tab === this.#tab).sort((a, b) => a.id - b.id);
  }

  /**
   * Keep a picture in place of an older one of the same id; the oldest of all go where the bound is
   * passed.
   *
   * @param {KeptPicture} picture
   */
  async keep(picture) {
    const bytes = picture.file.size + picture.result.file.size;
    const record = { ...picture, key: this.#keyOf(picture.id), tab: this.#tab, at: Date.now(), bytes };
    await this.#use(async (store) => {
      await answerOf(store.put(record));
      await dropOld(store);
    });
  }

  /** @param {number} id */
  async drop(id) {
    await this.#use((store) => answerOf(store.delete(this.#keyOf(id))));
  }

  /** Forget the pictures of every tab. */
  async forget() {
    await this.#use((store) => answerOf(store.clear()));
  }

  /** @param {number} id */
  #keyOf(id) {
    return `${this.#tab}/${id}`;
  }

  /**
   * @template T
   * @param {(store: IDBObjectStore) => Promise<T>} act
   * @returns {Promise<T | undefined>} undefined where nothing can be kept
   */
  async #use(act) {
    const database = await this.#database;
    try {
      return database === null ? undefined : await act(database.transaction(STORE, "readwrite").objectStore(STORE));
    } catch {
      // The browser has no room, or has withdrawn it.
      return undefined;
    }
  }
}

/** @param {IDBObjectStore} store */
async function dropOld(store) {
  const records = await answerOf(/** @type {IDBRequest<KeptRecord[]>} */ (store.getAll()));
  let bytes = 0;
  for (const record of records.sort((a, b) => b.at - a.at)) {
    bytes += record.bytes;
    if (bytes > MAX_BYTES || Date.now() - record.at > MAX_AGE_MS) await answerOf(store.delete(record.key));
  }
}

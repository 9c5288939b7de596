/** The visitor's key, kept for this tab until it is closed; many services need none. */

const STORED = "anysr-key";
/** Where the browser keeps nothing. */
let unstored = "";
let ask = () => {};

/** @returns {string} empty without one */
function key() {
  try {
    return sessionStorage.getItem(STORED) ?? unstored;
  } catch {
    return unstored;
  }
}

/** @returns {Record<string, string>} headers of a request to the service */
export function authorization() {
  return key() === "" ? {} : { Authorization: `Bearer ${key()}` };
}

/** @param {string} given */
export function setKey(given) {
  unstored = given;
  try {
    sessionStorage.setItem(STORED, given);
  } catch {
    // Kept until the page is left.
  }
}

/** @param {() => void} asking  called whenever the service wants a key, or another one */
export function onKeyWanted(asking) {
  ask = asking;
}

export function wantKey() {
  ask();
}

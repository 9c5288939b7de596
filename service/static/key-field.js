/** The field for a key: it appears when the service wants one. */

import { byId } from "./dom.js";
import { onKeyWanted, setKey } from "./key.js";

/** @param {() => void} onKey  called with each new key */
export function listenForKey(onKey) {
  const form = byId("key-form", HTMLFormElement);
  const field = byId("key", HTMLInputElement);
  onKeyWanted(() => {
    if (!form.hidden) return;
    form.hidden = false;
    field.value = "";
    field.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(field.value.trim());
    form.hidden = true;
    onKey();
  });
}

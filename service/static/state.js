/**
 * The visitor's settings: their ranges, their defaults, and their memory between visits.
 *
 * @typedef {object} Settings
 * @property {number} scale      output size / input size, 1 to 8
 * @property {number | null} budgetMs  null for what the picture needs
 * @property {string} model      "" for the service's default
 * @property {string} width      a fraction as the service writes it, "" for auto
 * @property {string} strength   one of STRENGTHS
 * @property {string} format     "" for that of the input
 * @property {string} onMiss     "degrade" or "reject"
 */

export const SCALE_RANGE = Object.freeze({ min: 1, max: 8 });
/** What the slider covers; the number field goes further, as the service does. */
export const BUDGET_SLIDER = Object.freeze({ min: 50, max: 60_000 });
export const BUDGET_RANGE = Object.freeze({ min: 1, max: 600_000 });

/** How much compression damage to clean up, 0 to 1; "" for what the file says of itself. */
export const STRENGTHS = Object.freeze(["", "0", "0.35", "0.65", "1"]);

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  scale: 2,
  budgetMs: null,
  model: "",
  width: "",
  strength: "",
  format: "",
  onMiss: "degrade",
});

const KEY = "anysr.settings";

/**
 * @template {number | null} T
 * @param {unknown} value
 * @param {{min: number, max: number}} range
 * @param {T} fallback
 * @returns {number | T}
 */
export function clamped(value, range, fallback) {
  const number = typeof value === "number" ? value : Number.parseFloat(String(value));
  return Number.isFinite(number) ? Math.min(range.max, Math.max(range.min, number)) : fallback;
}

/**
 * Make settings out of anything: what was stored may be old, foreign or edited by hand.
 *
 * @param {unknown} stored
 * @returns {Settings}
 */
export function sanitized(stored) {
  const raw = /** @type {Record<string, unknown>} */ (
    stored !== null && typeof stored === "object" ? stored : {}
  );
  const text = (/** @type {"model"|"width"|"strength"|"format"|"onMiss"} */ name) =>
    typeof raw[name] === "string" ? /** @type {string} */ (raw[name]) : DEFAULTS[name];
  return {
    scale: clamped(raw.scale, SCALE_RANGE, DEFAULTS.scale),
    // Not read from `budget`, its former name: that was stored for all who had chosen nothing.
    budgetMs: clamped(raw.budgetMs, BUDGET_RANGE, DEFAULTS.budgetMs),
    model: text("model"),
    width: text("width"),
    strength: STRENGTHS.includes(text("strength")) ? text("strength") : DEFAULTS.strength,
    format: text("format"),
    onMiss: text("onMiss") === "reject" ? "reject" : "degrade",
  };
}

/** @returns {Settings} */
export function loadSettings() {
  try {
    return sanitized(JSON.parse(localStorage.getItem(KEY) ?? "null"));
  } catch {
    // Storage may be forbidden or hold something else; neither should keep the page from working.
    return sanitized(null);
  }
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Remembering is a convenience: without storage the page works all the same.
  }
}

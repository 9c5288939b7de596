/**
 * The visitor's settings: their ranges, their defaults, and how they are kept between visits.
 *
 * @typedef {object} Settings
 * @property {string} by         "scale": by the factor `scale`; "width" or "height": to `pixels`
 * @property {number} scale      output size / input size, 1 to 8
 * @property {number} pixels     that side of the output
 * @property {number | null} budgetMs  null: the service chooses what the picture needs
 * @property {string} model      "": the service chooses among the models of its ladder, or takes its
 *     default model where a width is set
 * @property {string} width      fraction of the full width as the service writes it; "": the service
 *     chooses by the budget
 * @property {string} strength   one of STRENGTHS
 * @property {string} format     "": that of the input
 * @property {number | null} quality  1 to 100, for lossy formats; null: the service's default
 * @property {string} background  "#rrggbb": what transparency is flattened on where the format has none
 * @property {string} onMiss     "degrade": a late or a plainly resampled picture is sent all the same;
 *     "reject": an error is
 */

export const SCALE_RANGE = Object.freeze({ min: 1, max: 8 });
/** Above the largest side that any format holds here; the service's own limits are warned of. */
export const PIXEL_RANGE = Object.freeze({ min: 1, max: 1_000_000 });
/** The range of the slider; the number field goes further, as the service does. */
export const BUDGET_SLIDER = Object.freeze({ min: 100, max: 120_000 });
export const BUDGET_RANGE = Object.freeze({ min: 1, max: 600_000 });
export const QUALITY_RANGE = Object.freeze({ min: 1, max: 100 });

/** How much compression damage to clean up, 0 to 1; "": as much as the header of the file tells. */
export const STRENGTHS = Object.freeze(["", "0", "0.35", "0.65", "1"]);

const COLOUR = /^#[0-9a-f]{6}$/;
const SIZES = Object.freeze(["scale", "width", "height"]);

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  by: "scale",
  scale: 2,
  pixels: 1920,
  budgetMs: null,
  model: "",
  width: "",
  strength: "",
  format: "",
  quality: null,
  background: "#ffffff",
  onMiss: "degrade",
});

const STORAGE_KEY = "anysr.settings";

/**
 * Read a number, and move it into the range.
 *
 * @template {number | null} T
 * @param {unknown} value
 * @param {{min: number, max: number}} range
 * @param {T} fallback  where `value` is no number
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
  const text = (/** @type {"by"|"model"|"width"|"strength"|"format"|"background"|"onMiss"} */ name) =>
    typeof raw[name] === "string" ? /** @type {string} */ (raw[name]) : DEFAULTS[name];
  return {
    by: SIZES.includes(text("by")) ? text("by") : DEFAULTS.by,
    scale: clamped(raw.scale, SCALE_RANGE, DEFAULTS.scale),
    pixels: Math.round(clamped(raw.pixels, PIXEL_RANGE, DEFAULTS.pixels)),
    budgetMs: clamped(raw.budgetMs, BUDGET_RANGE, DEFAULTS.budgetMs),
    model: text("model"),
    width: text("width"),
    strength: STRENGTHS.includes(text("strength")) ? text("strength") : DEFAULTS.strength,
    format: text("format"),
    quality: clamped(raw.quality, QUALITY_RANGE, DEFAULTS.quality),
    background: COLOUR.test(text("background")) ? text("background") : DEFAULTS.background,
    onMiss: text("onMiss") === "reject" ? "reject" : "degrade",
  };
}

/** @returns {Settings} */
export function loadSettings() {
  try {
    return sanitized(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null"));
  } catch {
    // The page works even where storage is forbidden or holds something else.
    return sanitized(null);
  }
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(settings));
  } catch {
    // The page works without storage; only the settings are forgotten.
  }
}

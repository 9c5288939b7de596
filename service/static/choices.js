/**
 * The four choices that stand for most settings of the networks, each as what it sets.
 *
 * @typedef {object} Choice
 * @property {string} name
 * @property {string} label
 * @property {string} hint
 * @property {{model: string, width: string, strength: string}} sets
 */

/** @typedef {import("./api.js").Model} Model */

/** Fine differences between two networks at a scale that neither was measured at do not matter. */
const MEASURED_SCALE = 2;

/**
 * @param {Model} model
 * @returns {number} mean PSNR-Y in dB of the widest network, as measured; 0 if it never was
 */
function measuredDb({ quality }) {
  const widest = quality.filter(({ width, scale }) => width === 1 && scale === MEASURED_SCALE);
  return widest.reduce((sum, { psnr_y }) => sum + psnr_y, 0) / (widest.length || 1);
}

/**
 * @param {Model[]} models
 * @returns {Model | undefined} the best one among those that the service chooses by itself
 */
export function bestModel(models) {
  const ladder = models.filter(({ in_ladder }) => in_ladder);
  return ladder.sort((a, b) => measuredDb(b) - measuredDb(a))[0];
}

/**
 * @param {Model[]} models
 * @returns {Choice[]}
 */
export function choicesOf(models) {
  const free = { model: "", width: "" };
  const best = bestModel(models);
  const choices = [
    { name: "automatic", label: "Automatic", hint: "Right for most pictures", sets: { ...free, strength: "" } },
    { name: "photo", label: "Photo", hint: "For sharp originals", sets: { ...free, strength: "0" } },
    { name: "compressed", label: "Compressed photo", hint: "From a chat or the web", sets: { ...free, strength: "0.65" } },
  ];
  if (best === undefined) return choices;
  return [...choices, { name: "best", label: "Best", hint: "Finest and slowest", sets: { model: best.name, width: "", strength: "" } }];
}

/**
 * @param {Choice[]} choices
 * @param {import("./settings.js").Settings} settings
 * @returns {Choice | undefined} the one that the settings are, undefined for other settings
 */
export function choiceOf(choices, { model, width, strength }) {
  return choices.find(({ sets }) => sets.model === model && sets.width === width && sets.strength === strength);
}

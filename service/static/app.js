/** Connects the parts of the page: choosing a picture, the settings, the run and its result. */

import { Problem, fetchModels, upscale } from "./api.js";
import { byId, element } from "./dom.js";
import { Estimator } from "./estimate.js";
import { listenForFiles } from "./file-input.js";
import { watchHealth } from "./health.js";
import { readPicture } from "./picture.js";
import { sizeSentence, warnings } from "./preview.js";
import { ProblemPanel } from "./problems.js";
import { Progress } from "./progress.js";
import { readRunSummary } from "./run-summary.js";
import { showRunSummary } from "./run-summary-panel.js";
import { drawSample } from "./sample.js";
import { SettingsForm } from "./settings-form.js";
import { loadSettings, saveSettings } from "./settings.js";
import { resultName } from "./units.js";
import { Viewer } from "./viewer.js";

class App {
  #viewer = new Viewer();
  #progress = new Progress(byId("progress-text", HTMLElement), byId("meter", HTMLElement));
  #problems = new ProblemPanel(byId("problem", HTMLElement), {
    retry: () => this.#run(),
    retryWithBudget: (budgetMs) => {
      this.#form.change({ budgetMs });
      this.#run();
    },
  });
  #form = new SettingsForm(loadSettings(), (settings) => {
    saveSettings(settings);
    this.#updatePreview();
  });
  /** Files that were opened; only the last one is shown. */
  #openings = 0;
  /** @type {import("./api.js").Estimate | null} */
  #estimate = null;
  #estimator = new Estimator((estimate) => {
    this.#estimate = estimate;
    this.#form.showEstimate(estimate);
  });
  #summary = byId("run-summary", HTMLElement);
  #runButton = byId("run", HTMLButtonElement);
  #running = byId("progress", HTMLElement);
  /** @type {import("./picture.js").Picture | null} */
  #picture = null;
  /** @type {AbortController | null} */
  #abort = null;
  #resultUrl = "";

  start() {
    const buttons = [byId("choose", HTMLElement), byId("choose-another", HTMLElement)];
    const input = byId("file", HTMLInputElement);
    listenForFiles({ input, dropZone: byId("viewer", HTMLElement), buttons }, (file) => this.#open(file));
    byId("sample", HTMLElement).addEventListener("click", async () => this.#open(await drawSample()));
    byId("cancel", HTMLElement).addEventListener("click", () => this.#abort?.abort());
    byId("settings", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    watchHealth(byId("health", HTMLElement));
    // Without the list the page still works with the service's defaults; the health status says
    // what is wrong.
    fetchModels().then((models) => this.#form.showModels(models), () => undefined);
  }

  /** @param {File} file */
  async #open(file) {
    this.#abort?.abort();
    const opening = ++this.#openings;
    const picture = await readPicture(file);
    if (opening !== this.#openings) {
      // Another file was chosen while this one was decoded.
      URL.revokeObjectURL(picture.url);
      return;
    }
    if (this.#picture) URL.revokeObjectURL(this.#picture.url);
    this.#picture = picture;
    this.#problems.clear();
    this.#summary.hidden = true;
    this.#runButton.disabled = false;
    this.#viewer.showOriginal(picture);
    this.#estimator.reset();
    this.#updatePreview();
    this.#runButton.focus({ preventScroll: true });
  }

  #updatePreview() {
    if (this.#picture === null) return;
    const { settings, model, limits } = this.#form;
    byId("size-preview", HTMLElement).textContent = sizeSentence(this.#picture, settings.scale);
    const sentences = warnings(this.#picture, settings, model, limits);
    const items = sentences.map((sentence) => element("li", {}, sentence));
    byId("warnings", HTMLElement).replaceChildren(...items);
    this.#estimator.update(this.#picture, settings, limits?.formats ?? []);
  }

  async #run() {
    const picture = this.#picture;
    if (picture === null || this.#abort !== null) return;
    const settings = { ...this.#form.settings };
    const budgetMs = settings.budgetMs ?? this.#estimate?.default_budget_ms ?? null;
    this.#abort = new AbortController();
    this.#showRunning(true);
    this.#problems.clear();
    this.#progress.uploading(0);
    try {
      const answer = await upscale(picture.file, settings, {
        signal: this.#abort.signal,
        onUpload: (part) => this.#progress.uploading(part),
        onSent: () => this.#progress.working(budgetMs),
      });
      await this.#showResult(picture, settings, answer);
    } catch (error) {
      if (error instanceof Problem) this.#problems.show(error);
      else if (!this.#abort.signal.aborted) throw error;
    } finally {
      this.#abort = null;
      this.#showRunning(false);
    }
  }

  /**
   * @param {import("./picture.js").Picture} original
   * @param {import("./settings.js").Settings} settings  as they were sent
   * @param {import("./api.js").Answer} answer
   */
  async #showResult(original, settings, { picture, header }) {
    const name = resultName(original.file.name, settings.scale, picture.type);
    const { url, width, height } = await readPicture(new File([picture], name, { type: picture.type }));
    // If another picture was opened meanwhile, nobody wants this result any more.
    if (this.#picture !== original) return URL.revokeObjectURL(url);
    if (this.#resultUrl) URL.revokeObjectURL(this.#resultUrl);
    this.#resultUrl = url;
    const run = readRunSummary(header);
    const { strength } = settings;
    const takesStrength = this.#form.takesStrength(run.model);
    showRunSummary(this.#summary, { run, strength, takesStrength, width, height, picture, url, name });
    this.#viewer.reveal();
    void this.#viewer.showResult(original, { url, width, height, model: run.model });
  }

  /** @param {boolean} running */
  #showRunning(running) {
    const disappearing = [this.#runButton, this.#running, byId("problem", HTMLElement)];
    const hadFocus = disappearing.some((part) => part.contains(document.activeElement));
    if (!running) this.#progress.stop();
    this.#runButton.hidden = running;
    this.#running.hidden = !running;
    // The focused button disappears; the one in its place gets the focus.
    if (hadFocus) (running ? byId("cancel", HTMLElement) : this.#runButton).focus({ preventScroll: true });
  }
}

new App().start();

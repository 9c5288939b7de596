/** Wires the page: a picture in, settings beside it, a run, and what came of it. */

import { Problem, fetchModels, upscale } from "./api.js";
import { byId, element } from "./dom.js";
import { Estimator } from "./estimate.js";
import { readFacts } from "./facts.js";
import { showFacts } from "./facts-panel.js";
import { forecast, warnings } from "./forecast.js";
import { watchHealth } from "./health.js";
import { takeFiles } from "./intake.js";
import { ProblemPanel } from "./problems.js";
import { Progress } from "./progress.js";
import { drawSample } from "./sample.js";
import { SettingsForm } from "./settings-form.js";
import { Stage, readPicture } from "./stage.js";
import { loadSettings, saveSettings } from "./state.js";
import { resultName } from "./units.js";

class App {
  #stage = new Stage();
  #progress = new Progress(byId("progress-text", HTMLElement), byId("meter", HTMLElement));
  #problems = new ProblemPanel(byId("problem", HTMLElement), {
    again: () => this.#run(),
    withBudget: (budgetMs) => {
      this.#form.change({ budgetMs });
      this.#run();
    },
  });
  #form = new SettingsForm(loadSettings(), (settings) => {
    saveSettings(settings);
    this.#foretell();
  });
  /** @type {import("./api.js").Estimate | null} */
  #estimate = null;
  #estimator = new Estimator((estimate) => {
    this.#estimate = estimate;
    this.#form.foretell(estimate);
  });
  #facts = byId("facts", HTMLElement);
  #runButton = byId("run", HTMLButtonElement);
  #running = byId("progress", HTMLElement);
  /** @type {import("./forecast.js").Picture | null} */
  #picture = null;
  /** @type {AbortController | null} */
  #abort = null;
  #resultUrl = "";

  start() {
    const choosers = [byId("choose", HTMLElement), byId("another", HTMLElement)];
    const input = byId("file", HTMLInputElement);
    takeFiles({ input, zone: byId("stage", HTMLElement), choosers }, (file) => this.#take(file));
    byId("sample", HTMLElement).addEventListener("click", async () => this.#take(await drawSample()));
    byId("cancel", HTMLElement).addEventListener("click", () => this.#abort?.abort());
    byId("settings", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    watchHealth(byId("health", HTMLElement));
    // Without the list the service's defaults still work, and the state in the corner tells why.
    fetchModels().then((models) => this.#form.offer(models), () => undefined);
  }

  /** @param {File} file */
  async #take(file) {
    this.#abort?.abort();
    const picture = await readPicture(file);
    if (this.#picture) URL.revokeObjectURL(this.#picture.url);
    this.#picture = picture;
    this.#problems.clear();
    this.#facts.hidden = true;
    this.#runButton.disabled = false;
    this.#stage.showOriginal(picture);
    this.#estimator.forget();
    this.#foretell();
    this.#runButton.focus({ preventScroll: true });
  }

  #foretell() {
    if (this.#picture === null) return;
    const { settings, model, limits } = this.#form;
    byId("forecast", HTMLElement).textContent = forecast(this.#picture, settings.scale);
    const found = warnings(this.#picture, settings, model, limits);
    const lines = found.map((line) => element("li", {}, line));
    byId("warnings", HTMLElement).replaceChildren(...lines);
    this.#estimator.ask(this.#picture, settings);
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
   * @param {import("./forecast.js").Picture} original
   * @param {import("./state.js").Settings} settings  as they were sent
   * @param {import("./api.js").Answer} answer
   */
  async #showResult(original, settings, { picture, header }) {
    const name = resultName(original.file.name, settings.scale, picture.type);
    const { url, width, height } = await readPicture(new File([picture], name, { type: picture.type }));
    // Another picture may have been taken meanwhile; this one's result is no longer wanted.
    if (this.#picture !== original) return URL.revokeObjectURL(url);
    if (this.#resultUrl) URL.revokeObjectURL(this.#resultUrl);
    this.#resultUrl = url;
    const facts = readFacts(header);
    const { strength } = settings;
    const cleans = this.#form.cleans(facts.model);
    showFacts(this.#facts, { facts, strength, cleans, width, height, picture, url, name });
    this.#stage.reveal();
    void this.#stage.showResult(original, { url, width, height, model: facts.model });
  }

  /** @param {boolean} running */
  #showRunning(running) {
    const leaving = [this.#runButton, this.#running, byId("problem", HTMLElement)];
    const hadFocus = leaving.some((part) => part.contains(document.activeElement));
    if (!running) this.#progress.stop();
    this.#runButton.hidden = running;
    this.#running.hidden = !running;
    // The button under the focus goes away; what takes its place takes the focus, too.
    if (hadFocus) (running ? byId("cancel", HTMLElement) : this.#runButton).focus({ preventScroll: true });
  }
}

new App().start();

/** Connects the parts of the page: choosing pictures, the settings, the runs and their results. */

import { fetchModels } from "./api.js";
import { Divider } from "./divider.js";
import { byId } from "./dom.js";
import { Entries, MAX_ENTRIES, isRunning, wanted } from "./entries.js";
import { EntryList } from "./entry-list.js";
import { showFacts } from "./facts-panel.js";
import { listenForFiles } from "./file-input.js";
import { examined } from "./file-kind.js";
import { FrameField, PAGED } from "./frame-field.js";
import { headline } from "./headline.js";
import { watchHealth } from "./health.js";
import { listenForKey } from "./key-field.js";
import { Kept } from "./kept.js";
import { readPicture, releasePicture, unreadPicture } from "./picture.js";
import { PreviewPanel } from "./preview-panel.js";
import { ProblemPanel } from "./problems.js";
import { Progress } from "./progress.js";
import { ResultBar } from "./result-bar.js";
import { Runner, canTakeFirstFrame } from "./runner.js";
import { drawSample } from "./sample.js";
import { SettingsForm } from "./settings-form.js";
import { SettingsLink, settingsOf } from "./settings-link.js";
import { loadSettings, saveSettings } from "./settings.js";
import { statedSize } from "./stated-size.js";
import { counted } from "./units.js";
import { Viewer } from "./viewer.js";
import { saveZip } from "./zip-download.js";

/** @typedef {import("./entries.js").Entry} Entry */

class App {
  #entries = new Entries();
  /** @type {Entry | null} */
  #shown = null;
  /** Choices of files that replaced what was there; only the last one counts. */
  #choices = 0;
  #workers = 1;
  #runner = new Runner();
  #kept = new Kept();
  #viewer = new Viewer();
  #resultBar = new ResultBar();
  #list = new EntryList({ show: (entry) => this.#show(entry), remove: (entry) => this.#remove(entry) });
  #progress = new Progress(byId("progress-text", HTMLElement), byId("meter", HTMLElement));
  #problems = new ProblemPanel(byId("problem", HTMLElement), {
    retry: () => this.#runShown(),
    retryWithFirstFrame: () => this.#runFrame(0),
    retryWithBudget: (budgetMs) => {
      this.#form.change({ budgetMs });
      this.#runShown();
    },
  });
  #link = new SettingsLink((settings) => this.#form.change(settings));
  #form = new SettingsForm(settingsOf(location.hash) ?? loadSettings(), (settings) => {
    saveSettings(settings);
    this.#link.show(settings);
    this.#update();
  }, () => this.#fetchModels());
  #frame = new FrameField((frame) => this.#setFrame(frame));
  #preview = new PreviewPanel(this.#form);
  #runButton = byId("run", HTMLButtonElement);
  /** Settled when the list of models is there, or cannot be had, and the pictures before a reload are. */
  #ready = Promise.resolve();

  start() {
    this.#listen();
    listenForKey(() => this.#fetchModels().then(() => this.#update()));
    watchHealth(byId("health", HTMLElement), (workers) => (this.#workers = workers));
    this.#ready = this.#fetchModels().then(() => this.#restore());
  }

  /** Without the list the page still works with the service's defaults; the health status says what is wrong. */
  #fetchModels() {
    return fetchModels().then((models) => this.#form.showModels(models), () => undefined);
  }

  #listen() {
    listenForFiles(
      {
        input: byId("file", HTMLInputElement),
        dropZone: byId("viewer", HTMLElement),
        choose: [byId("choose", HTMLElement), byId("choose-another", HTMLElement)],
        add: [byId("add-first", HTMLElement), byId("add-more", HTMLElement)],
      },
      (files, add) => this.#open(files, add),
    );
    new Divider(byId("example-divider", HTMLElement), byId("example-frame", HTMLElement), ["before", "after"], () => true);
    byId("sample", HTMLElement).addEventListener("click", async () => this.#open([await drawSample()], false));
    byId("cancel", HTMLElement).addEventListener("click", () => this.#runner.cancelAll());
    byId("forget", HTMLElement).addEventListener("click", () => this.#forget());
    byId("download-all", HTMLElement).addEventListener("click", () => saveZip(this.#entries.all));
    byId("settings", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run(wanted(this.#entries.all, this.#form.settings).entries);
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.#runner.running && this.#entries.all.length > 1) event.preventDefault();
    });
  }

  /**
   * Open files. They replace a single picture, unless they are to be added; several pictures stay.
   *
   * @param {File[]} files
   * @param {boolean} add
   */
  async #open(files, add) {
    await this.#ready;
    const replaces = !add && this.#entries.all.length < 2;
    const before = replaces ? [...this.#entries.all] : [];
    if (replaces) this.#choices++;
    const choice = this.#choices;
    const room = replaces ? MAX_ENTRIES : this.#entries.room;
    for (const [i, file] of files.slice(0, room).entries()) {
      const known = await this.#read(file);
      // Other files were chosen while this one was decoded.
      if (choice !== this.#choices) return releasePicture(known.picture);
      for (const old of before.splice(0)) this.#discard(old);
      this.#take(this.#entries.add(known), i === 0);
    }
    const leftOut = Math.max(0, files.length - room);
    this.#announce(leftOut > 0 ? `Only ${MAX_ENTRIES} pictures at once: ${leftOut} were left out.` : "");
    // Whoever changes a setting meanwhile stays there.
    const busy = this.#runner.running || byId("settings", HTMLElement).contains(document.activeElement);
    if (!busy) this.#runButton.focus({ preventScroll: true });
  }

  /** @param {File} file */
  async #read(file) {
    const { format, refusal } = await examined(file, this.#form.formats);
    const picture = refusal === "" ? await readPicture(file, format?.media_type) : unreadPicture(file);
    return { picture, format, refusal };
  }

  /**
   * @param {Entry} entry  that was added
   * @param {boolean} show
   */
  #take(entry, show) {
    if (show || this.#shown === null) this.#show(entry);
    else this.#update();
  }

  /** Show the pictures that were there before a reload. */
  async #restore() {
    for (const { id, file, result } of await this.#kept.load()) {
      const known = await this.#read(file);
      const { run, settings, frame = null } = result;
      const made = { picture: await readPicture(result.file), run, settings, frame };
      const entry = this.#entries.add({ ...known, id, refusal: "", result: made });
      this.#take(entry, false);
      if (frame !== null) void this.#showPageSize(entry, frame);
    }
  }

  /** @param {Entry | null} entry  null for none */
  #show(entry) {
    this.#shown = entry;
    this.#form.showPicture(entry);
    const result = entry?.result ?? null;
    this.#resultBar.show(result);
    byId("facts", HTMLElement).hidden = result === null;
    if (result !== null) showFacts(byId("run-summary", HTMLElement), result, this.#form.takesStrength(result.run.model));
    if (entry === null || entry.refusal !== "") this.#viewer.showNothing();
    else if (result === null) this.#viewer.showOriginal(entry.picture, entry.format);
    else void this.#viewer.showResult(entry.picture, result);
    this.#showProblem();
    this.#update();
  }

  #showProblem() {
    const entry = this.#shown;
    if (entry !== null && entry.refusal !== "") this.#problems.refuse(entry.picture.file.name, entry.refusal);
    else if (entry !== null && entry.problem !== null) this.#problems.show(entry.problem, canTakeFirstFrame(entry, entry.problem));
    else this.#problems.clear();
  }

  /** Write what depends on the pictures, on how far they are, and on the settings. */
  #update() {
    const { all } = this.#entries;
    this.#preview.update(this.#shown);
    this.#frame.show(this.#shown);
    this.#list.update(all, this.#shown);
    const many = all.length > 1;
    byId("single-buttons", HTMLElement).hidden = many;
    byId("kept", HTMLElement).hidden = !all.some(({ result }) => result !== null);
    const { entries, again } = wanted(all, this.#form.settings);
    this.#runButton.disabled = entries.length === 0;
    // Once there is a result, the next step is its download.
    this.#runButton.classList.toggle("primary", !again);
    const which = many && entries.length > 0 ? ` ${counted(entries.length, "picture")}` : "";
    this.#runButton.textContent = `Upscale${which}${again ? " again" : ""}`;
  }

  /** @param {number} frame  of the picture that is shown, from 0 */
  #setFrame(frame) {
    const entry = this.#shown;
    if (entry === null) return;
    entry.frame = frame;
    this.#update();
    void this.#showPageSize(entry, frame);
  }

  /**
   * Pages of a TIFF may have different sizes.
   *
   * @param {Entry} entry
   * @param {number} frame
   */
  async #showPageSize(entry, frame) {
    const { picture, format } = entry;
    if (picture.visible || format?.name !== PAGED) return;
    const size = await statedSize(picture.file, format.media_type, frame);
    if (entry.frame !== frame) return;
    Object.assign(picture, size);
    if (this.#shown !== entry) return;
    this.#form.showPicture(entry);
    this.#viewer.showSize(picture);
    this.#update();
  }

  /** @param {number} frame  of the picture that is shown, from 0 */
  #runFrame(frame) {
    this.#setFrame(frame);
    this.#runShown();
  }

  #runShown() {
    if (this.#shown !== null) void this.#run([this.#shown]);
  }

  /** @param {Entry[]} entries */
  async #run(entries) {
    if (entries.length === 0 || this.#runner.running) return;
    const many = this.#entries.all.length > 1;
    const before = new Map(entries.map((entry) => [entry, entry.result]));
    const run = this.#runner.run(entries, {
      settings: { ...this.#form.settings },
      formats: this.#form.formats,
      lanes: this.#workers,
      patient: many,
      onChange: (entry) => this.#changed(entry),
    });
    this.#problems.clear();
    this.#showRunning(true);
    this.#progress.start(entries, () => this.#list.update(this.#entries.all, this.#shown));
    await run;
    this.#progress.stop();
    // One that was cancelled or failed still has its older result.
    const made = entries.filter((entry) => entry.result !== before.get(entry));
    this.#endRun(entries.length, made, this.#showRunning(false));
  }

  /** @param {Entry} entry  whose phase has changed */
  #changed(entry) {
    if (isRunning(entry) || !this.#entries.all.includes(entry)) return this.#update();
    const made = entry.result !== null && entry.problem === null;
    if (made) this.#keep(entry);
    if (entry !== this.#shown) this.#update();
    else if (made) this.#show(entry);
    else this.#showProblem();
  }

  /** @param {Entry} entry */
  #keep({ id, picture, result }) {
    if (result === null) return;
    const { run, settings, frame } = result;
    void this.#kept.keep({ id, file: picture.file, result: { file: result.picture.file, run, settings, frame } });
  }

  /**
   * @param {number} ran      how many pictures did
   * @param {Entry[]} made    those of them that have a new result
   * @param {boolean} hadFocus
   */
  #endRun(ran, made, hadFocus) {
    this.#update();
    const [only] = made;
    if (this.#entries.all.length > 1) {
      this.#announce(`${made.length} of ${counted(ran, "picture")} done.`);
      if (made.length > 0) this.#list.reveal(hadFocus);
      else if (hadFocus) this.#runButton.focus({ preventScroll: true });
    } else if (only !== undefined && only === this.#shown && only.result !== null) {
      this.#announce(headline(only.result));
      this.#resultBar.reveal(hadFocus);
    } else if (hadFocus) {
      this.#runButton.focus({ preventScroll: true });
    }
  }

  /**
   * @param {boolean} running
   * @returns {boolean} whether what disappears had the focus
   */
  #showRunning(running) {
    const bar = byId("progress", HTMLElement);
    const disappearing = [this.#runButton, bar, byId("problem", HTMLElement)];
    const hadFocus = disappearing.some((part) => part.contains(document.activeElement)) || document.activeElement === document.body;
    this.#runButton.hidden = running;
    bar.hidden = !running;
    // The focused button disappears; the one in its place gets the focus.
    if (hadFocus && running) byId("cancel", HTMLElement).focus({ preventScroll: true });
    return hadFocus;
  }

  /** @param {Entry} entry */
  #remove(entry) {
    const { all } = this.#entries;
    const at = all.indexOf(entry);
    this.#discard(entry);
    if (entry === this.#shown) this.#show(all[at + 1] ?? all[at - 1] ?? null);
    else this.#update();
  }

  /** @param {Entry} entry */
  #discard(entry) {
    this.#runner.cancel(entry);
    this.#entries.remove(entry);
    void this.#kept.drop(entry.id);
  }

  async #forget() {
    this.#choices++;
    for (const entry of [...this.#entries.all]) this.#discard(entry);
    this.#show(null);
    await this.#kept.forget();
    this.#announce("Your pictures are forgotten.");
    byId("choose", HTMLElement).focus();
  }

  /** @param {string} words  read out by screen readers */
  #announce(words) {
    byId("announcement", HTMLElement).textContent = words;
  }
}

new App().start();

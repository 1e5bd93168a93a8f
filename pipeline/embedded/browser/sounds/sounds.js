/** The page for sounds: classifies a recording, and hears words in it or from a microphone. */

import { element } from "./card.js";
import { Listener } from "./listener.js";
import { Microphone, MicrophoneError } from "./microphone.js";
import { Page, by, start } from "./page.js";
import * as recording from "./recording.js";
import { Settings } from "./settings.js";
import { paint } from "./spectrogram.js";
import { InputError } from "./wav.js";
import { percent } from "./words.js";

const MOST_WORDS = 500; // that stay in the list
const STREAM_WINDOWS = 2; // a recording this many windows long, or longer, is heard as a stream
const SLICE_MILLISECONDS = 50; // after which the page is shown and may be used
const QUIETEST = -60; // decibels below the loudest sample, at which the level is empty

class SoundPage extends Page {
  static NOUN = "sound";
  static NOTHING = "Nothing heard yet";
  static InputError = InputError;

  constructor(listener) {
    super(listener);
    this.listener = listener;
    this.microphone = this.recording = null;
    this.settings = new Settings(listener, choice => this.choose(choice));
    by("listen").addEventListener("click", () => this.toggle());
    this.rest();
  }

  paint(canvas, features) {
    return paint(canvas, features, this.card.input.shape);
  }

  fileIn(data) {
    return data.files[0];
  }

  example() {
    by("source").textContent = "";
  }

  /** What comes next ends the microphone, and the words of a long recording. */
  begin() {
    this.close();
    return super.begin();
  }

  rest(problem) {
    super.rest(problem);
    by("source").textContent = "";
  }

  /** Classifies the beginning of a sound file; one of several windows is a stream of words. */
  async open(file) {
    const { rate, windowSamples } = this.listener;
    let opened = null;
    await this.attempt(async isLatest => {
      if (!file) throw new InputError("what was dropped is not a file; drop a WAV file");
      const found = await recording.open(file, rate, STREAM_WINDOWS * windowSamples);
      if (!isLatest()) return null; // the front end may be at work for what came later
      opened = found;
      return this.listener.features(opened.first);
    });
    if (!opened || !by("problem").hidden) return;
    const converted = opened.isConverted ? `, which this browser converted to ${rate} Hz` : "";
    by("source").textContent =
      `Below, the first ${(windowSamples / rate).toFixed(2)} s of ${file.name}${converted}.`;
    if (opened.first.length < STREAM_WINDOWS * windowSamples) return;
    this.recording = opened;
    await this.hearRecording();
  }

  /** Hears a recording as fast as this device can, and gives way to the user meanwhile. */
  async hearRecording() {
    const action = super.begin();
    const isLatest = () => action === this.action;
    const stream = this.beginStream();
    this.headline("Listening to the recording", "");
    let paused = performance.now();
    try {
      for await (const samples of this.recording.all()) {
        if (!isLatest()) return;
        for (const { word } of stream.add(samples)) this.say(word);
        if (performance.now() - paused < SLICE_MILLISECONDS) continue;
        this.showClock();
        await new Promise(resolve => setTimeout(resolve));
        paused = performance.now();
      }
      if (isLatest()) this.endRecording();
    } catch (error) {
      if (isLatest()) this.rest(error.message);
      if (!(error instanceof InputError)) throw error;
    }
  }

  endRecording() {
    this.endStream();
    const words = `${this.count} word${this.count === 1 ? "" : "s"}`;
    this.headline(words, by("clock").textContent);
  }

  /** Applies the settings to what comes, or to all of a recording. */
  choose(choice) {
    if (this.microphone) this.stream.choose(choice);
    else if (this.recording) this.hearRecording();
  }

  beginStream() {
    by("words").replaceChildren();
    this.count = 0;
    this.stream = this.listener.stream(this.settings.choice);
    return this.stream;
  }

  /** Hears the last samples. */
  endStream() {
    if (!this.stream) return;
    for (const { word } of this.stream.end()) this.say(word);
    this.showClock();
    this.stream = null;
  }

  /** The words of the latest stream stand at the top of the list. */
  say(word) {
    if (!word) return;
    this.count++;
    const { seconds, name, probability } = word;
    const cells = [`${seconds.toFixed(2)} s`, name, percent(probability)];
    by("words").prepend(element("li", {}, ...cells.map(cell => element("span", {}, cell))));
    if (by("words").children.length > MOST_WORDS) by("words").lastChild.remove();
    if (this.microphone) this.headline(name, `${percent(probability)} at ${cells[0]}`);
  }

  headline(name, note) {
    by("answer").replaceChildren(name, element("small", {}, note));
  }

  showClock() {
    by("clock").textContent = `${this.stream.seconds.toFixed(1)} s heard`;
  }

  async toggle() {
    if (this.microphone) {
      this.begin();
      if (!this.count) this.rest();
      return;
    }
    const action = this.begin();
    this.rest();
    by("listen").disabled = true;
    try {
      const opened = await Microphone.open(
        this.listener.rate,
        samples => this.hear(samples),
        () => this.disconnected(),
      );
      if (action === this.action) this.listen(opened);
      else opened.close();
    } catch (error) {
      if (action === this.action) this.rest(error.message);
      if (!(error instanceof MicrophoneError)) throw error;
    } finally {
      by("listen").disabled = false;
    }
  }

  listen(microphone) {
    this.beginStream();
    this.microphone = microphone;
    by("listen").textContent = "Stop";
    by("listen").classList.add("listening");
    by("source").textContent = "Below, the latest window of the microphone.";
    this.headline("Listening", "say something");
  }

  /** Samples of the microphone. */
  hear(samples) {
    if (!this.microphone) return;
    this.showLevel(samples);
    for (const { features, probabilities, answer, word } of this.stream.add(samples)) {
      paint(by("seen"), features, this.card.input.shape);
      this.showBars(probabilities, answer);
      this.say(word);
    }
    this.showClock();
  }

  showLevel(samples) {
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    const decibels = 10 * Math.log10(Math.max(power, 1) / 2 ** 30);
    const level = Math.min(Math.max(1 - decibels / QUIETEST, 0), 1);
    by("level").style.setProperty("--share", level);
    by("level").setAttribute("aria-valuenow", Math.round(decibels));
  }

  disconnected() {
    this.begin();
    this.rest("the microphone was disconnected; connect it and listen again");
  }

  /** Ends the microphone, with the words up to here, or what is left of a recording. */
  close() {
    if (this.microphone) this.endStream();
    this.microphone?.close();
    this.microphone = this.recording = this.stream = null;
    by("listen").textContent = "Listen to the microphone";
    by("listen").classList.remove("listening");
    by("level").style.setProperty("--share", 0);
  }
}

await start(async () => new SoundPage(await Listener.load()));

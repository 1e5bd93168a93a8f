/**
 * Samples to features, answers and words: `serving.sound` and `serving.listening` as WebAssembly.
 *
 *     const listener = await Listener.load();
 *     const { answer, probabilities } = listener.classify(listener.features(samples));
 *     const stream = listener.stream({ threshold: 0.7, ignored: ["other"] });
 *     for (const { word } of stream.add(samples)) if (word) console.log(word.name, word.seconds);
 *
 * Samples are an Int16Array of one channel at the rate of the model.
 */

import { BundleError, Classifier, fetched } from "./classifier.js";
import * as wav from "./wav.js";

export class Listener extends Classifier {
  constructor(card, golden, instance) {
    super(card, golden, instance);
    this.ear = instance.exports;
    const { memory, samples, block } = this.ear;
    this.block = new Int16Array(memory.buffer, samples(), block());
    this.rate = card.preprocessing?.sound.rate;
  }

  /** Also checks that the golden recordings have the features that they had when verified. */
  static async load(address = new URL("../..", import.meta.url)) {
    const listener = await super.load(address);
    await listener.checkRecordings(new URL("recordings/", address));
    return listener;
  }

  /** The samples of a window: what is longer is cut off, and what is shorter is zero-padded. */
  get windowSamples() {
    return this.ear.window_samples();
  }

  /** The least mean probability of a word, if the user chooses no other. */
  get threshold() {
    return this.ear.threshold();
  }

  /** The features (T * bands) of the beginning of a recording. It ends a stream. */
  features(samples) {
    const padded = new Int16Array(this.windowSamples);
    padded.set(samples.subarray(0, padded.length));
    this.ear.begin();
    for (const _ of this.windows(padded)) this.ear.window();
    return this.input.slice();
  }

  /** The beginning of a stream of sound. Only the latest stream may be used. */
  stream(options) {
    return new Stream(this, options);
  }

  /** Passes samples of any length on; yields whenever a window is due. */
  *windows(samples) {
    for (let start = 0; start < samples.length; start += this.block.length) {
      const part = samples.subarray(start, start + this.block.length);
      for (let used = 0; used < part.length; ) {
        this.block.set(part.subarray(used));
        used += this.ear.add(0, part.length - used);
        if (this.ear.is_due()) yield;
      }
    }
  }

  /** Throws BundleError unless every golden recording has its features exactly. */
  async checkRecordings(folder) {
    for (const name of this.golden.recordings) {
      const [recording, features] = await Promise.all([
        fetched(new URL(`${name}.wav`, folder)).then(response => response.blob()),
        fetched(new URL(`${name}.features`, folder)).then(response => response.arrayBuffer()),
      ]);
      const samples = await wav.beginning(recording, name, this.rate, this.windowSamples);
      const expected = new Uint8Array(features);
      if (!this.features(samples).every((value, index) => value === expected[index]))
        throw new BundleError(
          `this browser computes other features of ${name}.wav than were verified; ` +
            "use another browser",
        );
    }
  }
}

/** A stream of sound, and the words in it by the rules of `serving listen`. */
class Stream {
  /** `ignored` are the names of classes that are not words. */
  constructor(listener, { threshold = listener.threshold, ignored = [] } = {}) {
    this.listener = listener;
    this.ear = listener.ear;
    this.samples = 0;
    this.ear.begin();
    this.choose({ threshold, ignored });
  }

  choose({ threshold, ignored }) {
    this.ear.require(threshold);
    this.listener.card.class_names.forEach((name, number) =>
      this.ear.ignore(number, Number(ignored.includes(name))),
    );
  }

  /** The seconds that were heard. */
  get seconds() {
    return this.samples / this.listener.rate;
  }

  /**
   * Yields for each window that these samples complete its features, answer and probabilities, and
   * the word that ended with it or null.
   */
  *add(samples) {
    this.samples += samples.length;
    for (const _ of this.listener.windows(samples)) {
      this.ear.window();
      const features = this.listener.input.slice();
      const answered = this.listener.classify(features);
      yield { features, ...answered, word: this.ear.hear() ? this.word : null };
    }
  }

  /** Yields the same for the last samples, which zeros follow, and then the word that was heard. */
  *end() {
    const [length, step] = [this.listener.windowSamples, this.ear.step()];
    const steps = Math.max(Math.ceil((this.samples - length) / step), 0);
    const { samples } = this;
    yield* this.add(new Int16Array(samples ? length + steps * step - samples : 0));
    this.samples = samples;
    if (this.ear.end()) yield { word: this.word };
  }

  get word() {
    return {
      name: this.listener.card.class_names[this.ear.word_class()],
      seconds: this.ear.word_start() / this.listener.rate,
      probability: this.ear.word_probability(),
    };
  }
}

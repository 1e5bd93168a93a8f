/**
 * The model as WebAssembly, for browsers and other JavaScript. Counterpart of `serving.Classifier`.
 *
 *     const classifier = await Classifier.load();
 *     const { answer, probabilities } = classifier.classify(pixels);
 */

import { target } from "./answers.js";

export class BundleError extends Error {}

// The first versions with WebAssembly SIMD.
const NEEDED = "use Chrome 91, Firefox 89, Safari 16.4 or a later version";

export class Classifier {
  /** `card` is model_card.json, `golden` golden.json, `instance` the WebAssembly instance. */
  constructor(card, golden, instance) {
    const { image, probabilities, predict, memory } = instance.exports;
    this.card = card;
    this.golden = golden;
    this.run = predict;
    this.input = new Uint8Array(memory.buffer, image(), size(card.input));
    this.output = new Float32Array(memory.buffer, probabilities(), size(card.output));
  }

  /**
   * Loads the model of the bundle at `address` and checks that it reproduces the golden vectors.
   * Throws BundleError.
   */
  static async load(address = new URL("../..", import.meta.url)) {
    const page = new URL("embedded/browser/", address);
    const [card, golden, module] = await Promise.all([
      fetched(new URL("model_card.json", address)).then(response => response.json()),
      fetched(new URL("golden.json", page)).then(response => response.json()),
      fetched(new URL("model.wasm", page)).then(response => response.arrayBuffer()),
    ]);
    const { instance } = await WebAssembly.instantiate(module).catch(error => {
      throw new BundleError(`this browser cannot run model.wasm (${error.message}); ${NEEDED}`);
    });
    const classifier = new this(card, golden, instance);
    classifier.checkGolden();
    return classifier;
  }

  /** Raw pixels (H * W * C), 0 to 255 -> a new Float32Array of probabilities (K), or the number. */
  predict(pixels) {
    this.compute(pixels);
    return this.output.slice();
  }

  /**
   * The same with the answer: the name of the class, null for none of them; the names of the labels
   * that hold; or the number with its unit and interval, as `Classifier.number` gives it in Python.
   */
  classify(pixels) {
    const number = this.compute(pixels);
    const probabilities = this.output.slice();
    return { answer: target(this.card).answer(this.card, probabilities, number), probabilities };
  }

  /** Writes the outputs, and returns the number of the class. Throws BundleError. */
  compute(pixels) {
    if (pixels.length !== this.input.length) {
      const expected = this.card.input.shape.join(" x ");
      throw new BundleError(`the image has ${pixels.length} values; expected ${expected}`);
    }
    this.input.set(pixels);
    return this.run(); // -1 for none
  }

  /** The raw pixels of a golden test image. */
  goldenImage(index) {
    return Uint8Array.from(atob(this.golden.images[index]), letter => letter.charCodeAt(0));
  }

  /** Throws BundleError unless every golden vector is reproduced exactly. */
  checkGolden() {
    const differences = this.golden.probabilities.map((expected, index) =>
      difference(this.predict(this.goldenImage(index)), expected),
    );
    const largest = Math.max(...differences);
    if (largest !== 0) {
      throw new BundleError(
        `this browser computes different probabilities from those verified (off by ${largest}); ` +
          "use another browser",
      );
    }
  }
}

/** The largest difference between two lists of probabilities. */
export function difference(first, second) {
  return Math.max(...first.map((value, index) => Math.abs(value - second[index])));
}

function size(tensor) {
  return tensor.shape.reduce((product, length) => product * length, 1);
}

/** The response from `address`. Throws BundleError. */
export async function fetched(address) {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) {
    const status = response?.status ?? "no response";
    throw new BundleError(`${address} could not be read (${status}); serve the whole bundle`);
  }
  return response;
}

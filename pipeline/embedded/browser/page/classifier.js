/**
 * The model in a browser or any other JavaScript: `serving.Classifier` as WebAssembly.
 *
 *     const classifier = await Classifier.load();
 *     const probabilities = classifier.predict(pixels);
 */

export class BundleError extends Error {}

export class Classifier {
  /** `card` is model_card.json, `golden` golden.json; the model lies in `instance`. */
  constructor(card, golden, instance) {
    const { image, probabilities, predict, memory } = instance.exports;
    this.card = card;
    this.golden = golden;
    this.run = predict;
    this.input = new Uint8Array(memory.buffer, image(), size(card.input));
    this.output = new Float32Array(memory.buffer, probabilities(), size(card.output));
  }

  /** Loads the model of the bundle at `address`, and returns it once it has reproduced the golden vectors. Throws BundleError. */
  static async load(address = new URL("../..", import.meta.url)) {
    const [card, golden, module] = await Promise.all([
      fetched(new URL("model_card.json", address)).then(response => response.json()),
      fetched(new URL("embedded/browser/golden.json", address)).then(response => response.json()),
      fetched(new URL("embedded/browser/model.wasm", address)).then(response => response.arrayBuffer()),
    ]);
    const { instance } = await WebAssembly.instantiate(module);
    const classifier = new Classifier(card, golden, instance);
    classifier.checkGolden();
    return classifier;
  }

  /** Raw pixels (H * W * C) of 0 to 255 -> probabilities (K), a Float32Array of the caller's own. Throws BundleError. */
  predict(pixels) {
    if (pixels.length !== this.input.length)
      throw new BundleError(`the image has ${pixels.length} values; ${this.card.name} takes ${this.card.input.shape.join(" x ")}`);
    this.input.set(pixels);
    this.run();
    return this.output.slice();
  }

  /** The raw pixels of a golden test image. */
  goldenImage(index) {
    return Uint8Array.from(atob(this.golden.images[index]), letter => letter.charCodeAt(0));
  }

  /** Throws BundleError where a golden vector is not reproduced within the tolerance of the file that the model was made from. */
  checkGolden() {
    const { format, probabilities } = this.golden;
    const tolerance = this.card.files.find(file => file.format === format).golden_tolerance;
    const off = Math.max(...probabilities.map((expected, index) => difference(this.predict(this.goldenImage(index)), expected)));
    if (!(off <= tolerance)) throw new BundleError(`this browser computes other probabilities than were proven (off by ${off}); use another one`);
  }
}

/** The largest difference between two lists of probabilities. */
export function difference(one, other) {
  return Math.max(...one.map((value, index) => Math.abs(value - other[index])));
}

function size(tensor) {
  return tensor.shape.reduce((one, other) => one * other, 1);
}

/** The answer from `address`. Throws BundleError. */
export async function fetched(address) {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) throw new BundleError(`${address} could not be read (${response?.status ?? "no answer"}); serve the whole bundle`);
  return response;
}

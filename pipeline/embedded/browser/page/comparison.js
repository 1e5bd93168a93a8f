/**
 * ONNX Runtime Web as a second engine, for the bundle's own ONNX file.
 *
 * It is there where somebody has run `npm install --prefix embedded/browser onnxruntime-web` in the bundle's folder.
 */

import { BundleError, difference } from "./classifier.js";

const LIBRARY = new URL("node_modules/onnxruntime-web/dist/ort.wasm.min.mjs", import.meta.url);

/** Loads the engine with the file that the WebAssembly was made from. Throws BundleError. */
export async function load(classifier) {
  const library = await import(LIBRARY).catch(() => {
    throw new BundleError("ONNX Runtime Web is not here; `npm install --prefix embedded/browser onnxruntime-web` in the bundle's folder brings it");
  });
  library.env.wasm.numThreads = 1;
  const { card, golden } = classifier, { file } = card.files.find(each => each.format === golden.format);
  const session = await library.InferenceSession.create(new URL(`../../${file}`, import.meta.url).href);
  return {
    name: `ONNX Runtime Web ${library.env.versions.web}`,
    async predict(pixels) {
      const image = new library.Tensor("uint8", pixels, [1, ...card.input.shape]);
      return (await session.run({ [card.input.name]: image }))[card.output.name].data;
    },
  };
}

/** Both engines on the golden images, in turn: the largest difference of probabilities, and the milliseconds of each for one image. */
export async function compare(classifier, other, rounds = 3) {
  const times = { own: 0, other: 0 };
  let largest = 0, images = 0;
  for (let round = 0; round < rounds; round++)
    for (let index = 0; index < classifier.golden.images.length; index++, images++) {
      const pixels = classifier.goldenImage(index), started = performance.now();
      const own = classifier.predict(pixels), between = performance.now();
      const theirs = await other.predict(pixels);
      times.own += between - started;
      times.other += performance.now() - between;
      largest = Math.max(largest, difference(own, theirs));
    }
  return { images, largest, own: times.own / images, other: times.other / images };
}

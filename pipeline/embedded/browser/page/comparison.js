/**
 * ONNX Runtime Web as a second engine, for an ONNX file of the bundle, in floating point if it has one.
 *
 * Install it with `npm install --prefix embedded/browser onnxruntime-web` in the bundle's folder.
 */

import { BundleError, difference } from "./classifier.js";

const LIBRARY = new URL("node_modules/onnxruntime-web/dist/ort.wasm.min.mjs", import.meta.url);

/** Loads the engine with that file. Throws BundleError. */
export async function load(classifier) {
  const library = await import(LIBRARY).catch(() => {
    throw new BundleError(
      "ONNX Runtime Web is not installed; run " +
        "`npm install --prefix embedded/browser onnxruntime-web` in the bundle's folder",
    );
  });
  library.env.wasm.numThreads = 1;
  const { card } = classifier;
  const file = onnxFile(card);
  if (!file) throw new BundleError("the bundle has no ONNX file, which ONNX Runtime Web needs");
  const address = new URL(`../../${file}`, import.meta.url).href;
  const session = await library.InferenceSession.create(address);
  return {
    name: `ONNX Runtime Web ${library.env.versions.web}, ${file}`,
    async predict(pixels) {
      const image = new library.Tensor("uint8", pixels, [1, ...card.input.shape]);
      const outputs = await session.run({ [card.input.name]: image });
      return outputs[card.output.name].data;
    },
  };
}

function onnxFile({ files }) {
  const names = files.map(({ file }) => file).filter(name => name.endsWith(".onnx"));
  return names.find(name => name.includes("float")) ?? names[0];
}

/** Runs both engines on the golden images: the largest difference, and the ms per image of each. */
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

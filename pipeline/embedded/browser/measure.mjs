/**
 * Runs the page's own classifier in Node, which shares its engine V8 with Chromium.
 *
 *     node measure.mjs FOLDER IMAGES PROBABILITIES H W C K RUNS
 *
 * Reads FOLDER/model.wasm and raw pixels from IMAGES; writes float32 to PROBABILITIES; prints the
 * milliseconds of RUNS single predictions.
 */

import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, images, output, ...sizes] = process.argv.slice(2);
const [height, width, channels, classes, runs] = sizes.map(Number);
const { Classifier } = await import(pathToFileURL(`${folder}/classifier.js`));
const { instance } = await WebAssembly.instantiate(await readFile(`${folder}/model.wasm`));
const input = { shape: [height, width, channels] };
const card = { class_names: [], input, output: { shape: [classes] } };
const classifier = new Classifier(card, null, instance);

const pixels = await readFile(images);
const size = height * width * channels;
const count = pixels.length / size;
const image = index => pixels.subarray((index % count) * size, ((index % count) + 1) * size);
const probabilities = new Float32Array(count * classes);
for (let index = 0; index < count; index++) {
  probabilities.set(classifier.predict(image(index)), index * classes);
}
await writeFile(output, probabilities);

const times = Array.from({ length: runs }, (_, index) => {
  const start = performance.now();
  classifier.predict(image(index));
  return performance.now() - start;
});
console.log(JSON.stringify(times));

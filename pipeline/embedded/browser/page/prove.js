/**
 * The gate on this device: does the model answer in this browser as the trained model did? As `serving prove`.
 *
 *     const facts = await prove(classifier, (done, images) => ...);
 */

import { BundleError, difference, fetched } from "./classifier.js";
import * as gate from "./gate.js";

const FILE = "acceptance.bin"; // embedded/c/prove.c tells what lies where in it
const SLICE_MILLISECONDS = 50; // after which the page may show how far it is

/** What the gate says, with the verdict in `state` and in words in `sentence`; `progress(done, images)` is called meanwhile. */
export async function prove(classifier, progress) {
  const set = parse(await fetched(new URL(FILE, import.meta.url)).then(response => response.arrayBuffer()), classifier);
  const golden = Math.max(...set.golden.map(({ pixels, probabilities }) => difference([...classifier.predict(pixels)], probabilities)));
  const counts = { correct: 0, reference: 0, lost: 0, gained: 0, agreeing: 0 }, times = [];
  let largest = 0, paused = performance.now();
  for (const [index, { pixels, label, probabilities }] of set.images.entries()) {
    const started = performance.now(), told = [...classifier.predict(pixels)];
    times.push(performance.now() - started);
    const here = best(told), there = best(probabilities);
    counts.correct += here === label;
    counts.reference += there === label;
    counts.lost += there === label && here !== label;
    counts.gained += there !== label && here === label;
    counts.agreeing += here === there;
    largest = Math.max(largest, difference(told, probabilities));
    if (performance.now() - paused > SLICE_MILLISECONDS) {
      progress(index + 1, set.images.length);
      await new Promise(resolve => setTimeout(resolve));
      paused = performance.now();
    }
  }
  return judged({ ...set, ...counts, golden, largest, milliseconds: median(times) });
}

/** The facts of the gate, in the words of serving.gate, from counts and differences. */
export function judged({ correct, reference, lost, gained, agreeing, golden, largest, allowed, tolerance, maker, milliseconds, ...set }) {
  const images = set.images.length;
  const finite = Number.isFinite(golden) && Number.isFinite(largest);
  const facts = {
    images, lost, gained, maker, milliseconds,
    accuracy: correct / images,
    accuracy_interval: gate.accuracyInterval(correct, images),
    keras_accuracy: reference / images,
    mcnemar_p_value: gate.mcnemar(lost, gained),
    accuracy_lost: (lost - gained) / images,
    accuracy_lost_bound: gate.accuracyLostBound(lost, gained, images),
    max_accuracy_drop: allowed,
    agreement: agreeing / images,
    largest_difference: largest,
    golden_difference: golden,
    golden_tolerance: tolerance,
  };
  facts.state = gate.elsewhere(facts);
  return { ...facts, sentence: finite ? sentence(facts) : "worse: some of its probabilities are not finite numbers; use another browser" };
}

/** The verdict in words: on what it rests, and what would cure it; as `sentence` of serving/acceptance.py. */
function sentence(facts) {
  const { state, maker, lost, gained, images, golden_difference: golden, accuracy_lost_bound: bound, max_accuracy_drop: drop } = facts;
  const counted = `${write(lost)} of ${write(images)} images lost, ${write(gained)} gained`, allowed = `${+(100 * drop).toPrecision(2)} %`;
  const alike = `it answers the golden vectors as on the maker’s processor, within ${+golden.toPrecision(1)}`;
  if (golden > facts.golden_tolerance)
    return `worse: it answers golden vectors otherwise than on the maker’s processor, by up to ${golden.toPrecision(2)} where ` +
      `${facts.golden_tolerance} is tolerated; use another browser`;
  if (state === gate.WORSE && maker.verdict === gate.WORSE)
    return `worse: ${counted}: its maker found it worse than the model that it was made from; use another browser`;
  if (state === gate.WORSE)
    return `worse: ${counted}: a loss of ${percent(facts.accuracy_lost)}, beyond chance more than the ${allowed} allowed; use another browser`;
  if (state === gate.PROVEN && bound <= drop)
    return `proven: ${counted}, so it loses at most ${percent(bound)} where ${allowed} is allowed, and ${alike}`;
  if (state === gate.PROVEN)
    return `proven: its maker showed on ${write(maker.images)} images that it loses at most ${percent(maker.bound)} where ${allowed} is allowed, ` +
      `${alike}, and the images here do not speak against it (${counted})`;
  const needed = gate.imagesNeeded(drop, lost / images, gained / images);
  return `not shown: ${counted}: neither these images nor the maker’s ${write(maker.images)} show that at most ` +
    `${allowed} is lost (here ${percent(bound)}); ` + (needed ? `${write(needed)} images like these would show it` : "it can be shown only if less is lost");
}

/** The acceptance set in `buffer`. Throws BundleError where it is of another model or cut. */
function parse(buffer, { input: { length: pixels }, output: { length: classes } }) {
  const view = new DataView(buffer), magic = String.fromCharCode(...new Uint8Array(buffer, 0, Math.min(8, buffer.byteLength)));
  if (magic !== "EDGEACC1" || buffer.byteLength < 60) throw new BundleError(`${FILE} is not an acceptance set; make the bundle again`);
  const [goldens, images, itsPixels, itsClasses, place, makersImages] = [8, 12, 16, 20, 24, 28].map(offset => view.getUint32(offset, true));
  const [bound, allowed, tolerance] = [32, 40, 48].map(offset => view.getFloat64(offset, true));
  const size = 60 + goldens * (pixels + 4 * classes) + images * (pixels + 4 + 4 * classes);
  if (itsPixels !== pixels || itsClasses !== classes || buffer.byteLength !== size || !images || !gate.VERDICTS[place])
    throw new BundleError(`${FILE} belongs to another model or is cut short; make the bundle again`);
  const rows = (count, read) => Array.from({ length: count }, (_, index) => read(index));
  const image = (start, index) => new Uint8Array(buffer, start + index * pixels, pixels);
  const floats = (start, index) => Array.from({ length: classes }, (_, each) => view.getFloat32(start + 4 * (index * classes + each), true));
  const goldenStart = 56, goldenTold = goldenStart + goldens * pixels, start = goldenTold + 4 * goldens * classes;
  const labels = start + images * pixels, told = labels + 4 * images;
  return {
    golden: rows(goldens, index => ({ pixels: image(goldenStart, index), probabilities: floats(goldenTold, index) })),
    images: rows(images, index => ({
      pixels: image(start, index), label: view.getUint32(labels + 4 * index, true), probabilities: floats(told, index),
    })),
    allowed, tolerance, maker: { verdict: gate.VERDICTS[place], images: makersImages, bound },
  };
}

function best(probabilities) {
  return probabilities.indexOf(Math.max(...probabilities));
}

function median(times) {
  return times.sort((one, other) => one - other)[Math.floor(times.length / 2)];
}

function percent(fraction) {
  return `${(100 * fraction).toFixed(2)} %`;
}

function write(count) {
  return count.toLocaleString("en");
}

/**
 * The gate on this device: does the model in this browser answer as the trained model did?
 * The counterpart of `serving prove`.
 *
 *     const facts = await prove(classifier, (done, images) => ...);
 */

import { ownFile, target } from "./answers.js";
import { BundleError, difference, fetched } from "./classifier.js";
import { Errors, inWords } from "./errors.js";
import * as gate from "./gate.js";
import { percent } from "./words.js";

const FILE = "acceptance.bin"; // embedded/c/prove.c describes its layout
const HEADER_BYTES = 56;
const CHECKSUM_BYTES = 4;
const SLICE_MILLISECONDS = 50; // after which the page may update its progress
const ELSEWHERE = "use another browser";

/**
 * The facts of the gate, with the verdict in `state` and in words in `sentence`.
 * Calls `progress(done, images)` while it runs.
 */
export async function prove(classifier, progress) {
  const response = await fetched(new URL(FILE, import.meta.url));
  const set = parse(await response.arrayBuffer(), classifier);
  const goldenDifferences = set.golden.map(({ pixels, probabilities }) =>
    difference([...classifier.predict(pixels)], probabilities),
  );
  const golden = Math.max(...goldenDifferences);
  const score = classifier.card.number ? new Errors(classifier.card) : new Counts(classifier.card);
  const times = [];
  let largest = 0;
  let paused = performance.now();
  for (const [index, { pixels, label, probabilities }] of set.images.entries()) {
    const started = performance.now();
    const { answer, probabilities: own } = classifier.classify(pixels);
    times.push(performance.now() - started);
    score.add(own, probabilities, label, answer);
    largest = Math.max(largest, difference([...own], probabilities));
    if (performance.now() - paused > SLICE_MILLISECONDS) {
      progress(index + 1, set.images.length);
      await new Promise(resolve => setTimeout(resolve));
      paused = performance.now();
    }
  }
  const scored = score.facts(set.allowed, ownFile(classifier.card).interval);
  return judged({ ...set, ...scored, golden, largest, milliseconds: median(times) });
}

/** Counts answers that are right: the class, or all labels. */
class Counts {
  constructor(card) {
    this.card = card;
    this.counts = { correct: 0, reference: 0, lost: 0, gained: 0, agreeing: 0 };
    this.answered = this.wrong = 0;
  }

  add(own, probabilities, label, answer) {
    const { held } = target(this.card);
    const here = held(this.card, own), reference = held(this.card, probabilities);
    const isRight = equal(here, label), wasRight = equal(reference, label);
    this.counts.correct += isRight;
    this.counts.reference += wasRight;
    this.counts.lost += wasRight && !isRight;
    this.counts.gained += !wasRight && isRight;
    this.counts.agreeing += equal(here, reference);
    this.answered += answer !== null;
    this.wrong += answer !== null && !isRight;
  }

  facts() {
    return { ...this.counts, answered: this.answered, answered_wrong: this.wrong };
  }
}

function equal(first, second) {
  return first.every((value, index) => value === second[index]);
}

/** The facts of the gate, with the verdict, from counts or from the facts on errors. */
export function judged(results) {
  const { images, maker, milliseconds, golden, largest, tolerance, allowed, ...score } = results;
  const facts = {
    ...("unit" in score ? score : ofCounts(score, images.length, allowed)),
    images: images.length,
    maker,
    milliseconds,
    largest_difference: largest,
    golden_difference: golden,
    golden_tolerance: tolerance,
  };
  facts.state = gate.elsewhere(facts);
  return { ...facts, sentence: sentence(facts) };
}

/** Named as in serving.gate. */
function ofCounts({ correct, reference, lost, gained, agreeing, ...rejection }, images, allowed) {
  return {
    lost,
    gained,
    accuracy: correct / images,
    accuracy_interval: gate.accuracyInterval(correct, images),
    keras_accuracy: reference / images,
    mcnemar_p_value: gate.mcnemar(lost, gained),
    accuracy_lost: (lost - gained) / images,
    accuracy_lost_bound: gate.accuracyLostBound(lost, gained, images),
    max_accuracy_drop: allowed,
    agreement: agreeing / images,
    ...rejection,
  };
}

/** The verdict with its reason and a cure, in the words of `sentence` in serving/acceptance.py. */
function sentence(facts) {
  const { state, lost, gained, images, golden_difference: golden } = facts;
  if (!Number.isFinite(golden) || !Number.isFinite(facts.largest_difference))
    return `worse: some of its outputs are not finite numbers; ${ELSEWHERE}`;
  if (golden > facts.golden_tolerance)
    return (
      "worse: its answers to the golden vectors differ from those on the maker’s processor " +
      `by up to ${+golden.toPrecision(2)}, more than the ${facts.golden_tolerance} tolerated; ` +
      ELSEWHERE
    );
  if ("unit" in facts) return inWords(facts, ELSEWHERE);
  const counts = `${write(lost)} of ${write(images)} examples lost, ${write(gained)} gained`;
  const allowed = `${+(100 * facts.max_accuracy_drop).toPrecision(2)} %`;
  if (state === gate.WORSE) return `worse: ${counts}: ${worse(facts, allowed)}; ${ELSEWHERE}`;
  if (state === gate.PROVEN) return `proven: ${proven(facts, counts, allowed)}`;
  return `not shown: ${counts}: ${notShown(facts, allowed)}`;
}

function worse({ maker, accuracy_lost: lost }, allowed) {
  if (maker.verdict === gate.WORSE)
    return "its maker found it worse than the model that it was made from";
  return `a loss of ${percent(lost)}, significantly more than the ${allowed} allowed`;
}

function proven(facts, counts, allowed) {
  const { maker, accuracy_lost_bound: bound, golden_difference: golden } = facts;
  const reproduced =
    "it reproduces the golden vectors of the maker’s processor " +
    `within ${+golden.toPrecision(1)}`;
  if (bound <= facts.max_accuracy_drop)
    return (
      `${counts}, so it loses at most ${percent(bound)} where ${allowed} is allowed, ` +
      `and ${reproduced}`
    );
  return (
    `its maker showed on ${write(maker.images)} examples that it loses at most ` +
    `${percent(maker.bound)} where ${allowed} is allowed, ${reproduced}, ` +
    `and the examples here do not contradict it (${counts})`
  );
}

function notShown(facts, allowed) {
  const { maker, lost, gained, images, accuracy_lost_bound: bound } = facts;
  const needed = gate.imagesNeeded(facts.max_accuracy_drop, lost / images, gained / images);
  const cure = needed
    ? `${write(needed)} examples like these would show it`
    : "it can be shown only if less is lost";
  return (
    `neither these examples nor the maker’s ${write(maker.images)} show that at most ` +
    `${allowed} is lost (here ${percent(bound)}); ${cure}`
  );
}

/** The acceptance set in `buffer`. Throws BundleError if it is cut short or of another model. */
function parse(buffer, { card, input: { length: pixels }, output: { length: classes } }) {
  const view = new DataView(buffer);
  const magic = new Uint8Array(buffer, 0, Math.min(8, buffer.byteLength));
  if (
    String.fromCharCode(...magic) !== "EDGEACC1" ||
    buffer.byteLength < HEADER_BYTES + CHECKSUM_BYTES
  )
    throw new BundleError(`${FILE} is not an acceptance set; make the bundle again`);
  const integers = [8, 12, 16, 20, 24, 28].map(offset => view.getUint32(offset, true));
  const [goldenCount, count, filePixels, fileClasses, verdict, makerImages] = integers;
  const [bound, allowed, tolerance] = [32, 40, 48].map(offset => view.getFloat64(offset, true));

  const goldenProbabilities = HEADER_BYTES + goldenCount * pixels;
  const images = goldenProbabilities + 4 * goldenCount * classes;
  const labels = images + count * pixels;
  const shown = card.target === "labels" ? classes : 1; // values of one label
  const probabilities = labels + 4 * count * shown;
  const size = probabilities + 4 * count * classes + CHECKSUM_BYTES;
  const fits = filePixels === pixels && fileClasses === classes && buffer.byteLength === size;
  if (!fits || !count || !gate.VERDICTS[verdict])
    throw new BundleError(
      `${FILE} belongs to another model or is cut short; make the bundle again`,
    );

  const rows = (length, read) => Array.from({ length }, (_, index) => read(index));
  const read = card.number ? "getFloat32" : "getUint32";
  const label = index =>
    rows(shown, number => view[read](labels + 4 * (index * shown + number), true));
  const image = (start, index) => new Uint8Array(buffer, start + index * pixels, pixels);
  const floats = (start, index) =>
    rows(classes, number => view.getFloat32(start + 4 * (index * classes + number), true));
  return {
    golden: rows(goldenCount, index => ({
      pixels: image(HEADER_BYTES, index),
      probabilities: floats(goldenProbabilities, index),
    })),
    images: rows(count, index => ({
      pixels: image(images, index),
      label: label(index),
      probabilities: floats(probabilities, index),
    })),
    allowed,
    tolerance,
    maker: { verdict: gate.VERDICTS[verdict], images: makerImages, bound },
  };
}

function median(times) {
  return times.sort((first, second) => first - second)[Math.floor(times.length / 2)];
}

function write(count) {
  return count.toLocaleString("en");
}

/** What the page tries on this device: the gate ("Prove it here"), and a second engine. */

import { noun, table } from "./card.js";
import { general, percent } from "./words.js";

const by = id => document.getElementById(id);
let secondEngine; // once it is loaded

/** Lets the user start both; without an acceptance set in the bundle, explains why not the gate. */
export function offerTrials(classifier) {
  const { acceptance_images: images, no_acceptance: why } = classifier.card;
  by("compare").addEventListener("click", () => compareEngines(classifier));
  by("prove").addEventListener("click", () => proveHere(classifier));
  by("prove").hidden = !images;
  if (images) return;
  const reason = why ?? "it was made without one";
  by("verdict").textContent = `The bundle has no acceptance set (${reason}).`;
}

/** Runs the gate on this device and shows the verdict with its figures. */
async function proveHere(classifier) {
  const verdict = by("verdict");
  const progress = by("prove-progress");
  verdict.textContent = by("prove-problem").textContent = "";
  by("prove").disabled = true;
  progress.hidden = false;
  try {
    const { prove } = await import("./prove.js");
    const facts = await prove(classifier, (done, images) => {
      progress.value = done;
      progress.max = images;
    });
    verdict.textContent = `${facts.sentence[0].toUpperCase()}${facts.sentence.slice(1)}.`;
    const rows = proofRows(facts, noun(classifier.card));
    by("proof").replaceChildren(table("Results in this browser", ["result", "here"], rows));
    by("proof").hidden = false;
  } catch (error) {
    by("prove-problem").textContent = error.message;
  } finally {
    by("prove").disabled = false;
    progress.hidden = true;
    progress.removeAttribute("value");
  }
}

async function compareEngines(classifier) {
  by("comparison-problem").textContent = "";
  try {
    const { compare, load } = await import("./comparison.js");
    secondEngine ??= await load(classifier);
    await compare(classifier, secondEngine, 1);
    const { images, largest, own, other } = await compare(classifier, secondEngine);
    const columns = ["engine", `ms/${noun(classifier.card)}`, "largest difference in an output"];
    const rows = [
      ["WebAssembly, integers", own.toFixed(2), ""],
      [secondEngine.name, other.toFixed(2), largest.toExponential(1)],
    ];
    const caption = `Both engines on ${images} ${noun(classifier.card)}s`;
    by("comparison").replaceChildren(table(caption, columns, rows));
    by("comparison").hidden = false;
  } catch (error) {
    by("comparison-problem").textContent = error.message;
  }
}

/** The rows of the table below the verdict. */
function proofRows(facts, item) {
  return [
    [`test ${item}s`, facts.images],
    ...("unit" in facts ? ofNumbers(facts) : ofAnswers(facts, item)),
    ["largest difference in an output", facts.largest_difference.toExponential(1)],
    ["largest difference on golden vectors", facts.golden_difference.toExponential(1)],
    [`median milliseconds per ${item}`, facts.milliseconds.toFixed(2)],
  ];
}

function ofNumbers(facts) {
  const amount = value => `${general(value)} ${facts.unit}`;
  const [low, high] = facts.error_interval.map(bound => general(bound));
  const rows = [
    ["mean absolute error here", `${amount(facts.error)} (95 % interval ${low} to ${high})`],
    ["mean absolute error of the trained model", amount(facts.keras_error)],
    ["added at most, on these images", amount(facts.error_added_bound)],
    ["allowed to be added", amount(facts.max_error_added)],
  ];
  if (!("inside" in facts)) return rows;
  const held = `${facts.inside} (${percent(facts.inside / facts.images)})`;
  return [...rows, [`true numbers within ${amount(facts.interval)}`, held]];
}

/** Of classes and labels. */
function ofAnswers(facts, item) {
  const [low, high] = facts.accuracy_interval.map(bound => percent(bound));
  const p = facts.mcnemar_p_value.toPrecision(2);
  return [
    ["accuracy here", `${percent(facts.accuracy)} (95 % interval ${low} to ${high})`],
    ["accuracy of the trained model", percent(facts.keras_accuracy)],
    [`${item}s lost and gained`, `${facts.lost} and ${facts.gained} (McNemar’s p-value ${p})`],
    [`accuracy loss at most, on these ${item}s`, percent(facts.accuracy_lost_bound)],
    ["allowed accuracy loss", percent(facts.max_accuracy_drop)],
    ["same answer as the trained model", percent(facts.agreement)],
    ...rejection(facts, item),
  ];
}

/** The rows on inputs that were answered and on those rejected as none of the classes, if any. */
function rejection({ images, answered, answered_wrong: wrong }, item) {
  if (answered === images) return [];
  const share = percent(wrong / Math.max(answered, 1));
  return [
    [`${item}s answered`, `${answered} (${percent(answered / images)}), the others rejected`],
    ["wrong answers", `${wrong} (${share} of the answers)`],
  ];
}

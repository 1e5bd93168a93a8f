/** What the page tries on this device: the gate ("Prove it here"), and a second engine. */

import { noun, percent, table } from "./card.js";

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
    const columns = ["engine", `ms/${noun(classifier.card)}`, "largest difference in a probability"];
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
  const [low, high] = facts.accuracy_interval.map(bound => percent(bound));
  const p = facts.mcnemar_p_value.toPrecision(2);
  return [
    [`test ${item}s`, facts.images],
    ["accuracy here", `${percent(facts.accuracy)} (95 % interval ${low} to ${high})`],
    ["accuracy of the trained model", percent(facts.keras_accuracy)],
    [`${item}s lost and gained`, `${facts.lost} and ${facts.gained} (McNemar’s p-value ${p})`],
    [`accuracy loss at most, on these ${item}s`, percent(facts.accuracy_lost_bound)],
    ["allowed accuracy loss", percent(facts.max_accuracy_drop)],
    ["same class as the trained model", percent(facts.agreement)],
    ...rejection(facts, item),
    ["largest difference in a probability", facts.largest_difference.toExponential(1)],
    ["largest difference on golden vectors", facts.golden_difference.toExponential(1)],
    [`median milliseconds per ${item}`, facts.milliseconds.toFixed(2)],
  ];
}

/** The rows on inputs that were answered and on those rejected as none of the classes, if any. */
function rejection({ answered, answered_wrong: wrong, images }, item) {
  if (answered === images) return [];
  const share = percent(wrong / Math.max(answered, 1));
  return [
    [`${item}s answered`, `${answered} (${percent(answered / images)}), the others rejected`],
    ["wrong answers", `${wrong} (${share} of the answers)`],
  ];
}

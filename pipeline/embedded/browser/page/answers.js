/**
 * What a model's outputs mean: one class of several, several labels at once, or a number in a unit.
 * For each of them
 *   answer(card, outputs, number)  the answer; `number` is what model.wasm returned
 *   words(card, answer, outputs)   the answer, and a note on it, as `serving predict` writes them
 *   held(card, outputs)            what is right or wrong, to compare outputs; numbers have none
 *   labelled(card, label)          what an example of the test set is, with its true label
 */

import { general, percent } from "./words.js";

const HALF = 0.5; // from which labels hold, in a card that says nothing of it

const classes = {
  answer: ({ class_names: names }, _, number) => names[number] ?? null, // -1 for none of them
  words({ class_names: names }, answer, outputs) {
    const likeliest = best(outputs), share = percent(outputs[likeliest]);
    const guess = `best guess ${names[likeliest]}, ${share}`;
    return answer === null ? ["None of these", guess] : [answer, share];
  },
  held: (_, outputs) => [best(outputs)],
  labelled: ({ class_names: names }, label) => `of class ${names[label]}`,
};

const labels = {
  answer: (card, outputs) => named(card, labels.held(card, outputs)),
  words({ class_names: names }, answer, outputs) {
    const shares = answer.map(name => percent(outputs[names.indexOf(name)]));
    return [inWords(answer), shares.join(", ")];
  },
  held: ({ holds_from: least }, outputs) =>
    [...outputs].map((value, label) => Number(value >= Math.fround(least?.[label] ?? HALF))),
  labelled: (card, held) => `with ${inWords(named(card, held))}`,
};

const number = {
  answer(card, [value]) {
    const { unit, coverage } = card.number, width = ownFile(card).interval ?? null;
    const bounds = { low: value - width, high: value + width, coverage };
    const nothing = { low: null, high: null, coverage: null };
    return { number: value, unit, ...(width === null ? nothing : bounds) };
  },
  words(card, { number: value, unit, low, high, coverage }) {
    const share = `${general(100 * coverage)} %`;
    const interval = low === null ? "" : `(${general(low)} to ${general(high)} with ${share})`;
    return [`${general(value)} ${unit}`, interval];
  },
  labelled: ({ number: { unit } }, value) => `of ${general(value)} ${unit}`,
};

const TARGETS = { classes, labels, number };

/** That of the card. */
export function target(card) {
  return TARGETS[card.target ?? "classes"];
}

/** The file that the model was made from. */
export function ownFile({ embedded, files }) {
  const { format } = embedded.find(({ target: name }) => name === "browser");
  return files.find(file => file.format === format);
}

function best(outputs) {
  return outputs.indexOf(Math.max(...outputs));
}

function named({ class_names: names }, held) {
  return names.filter((_, label) => held[label]);
}

function inWords(names) {
  return names.join(" + ") || "none of the labels";
}

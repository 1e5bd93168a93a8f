/** The score of numbers: their distances from the true ones, as `compare_numbers` in serving/gate.py. */

import * as gate from "./gate.js";
import { general } from "./words.js";

export class Errors {
  constructor(card) {
    this.unit = card.number.unit;
    this.errors = [];
    this.reference = [];
  }

  add([number], [reference], [label]) {
    this.errors.push(Math.abs(number - label));
    this.reference.push(Math.abs(reference - label));
  }

  /** The facts of the gate, named as in serving.gate; `allowed` is what a file may add. */
  facts(allowed, interval) {
    const { errors, reference, unit } = this;
    const added = gate.moments(errors.map((error, index) => error - reference[index]));
    const own = gate.moments(errors), around = gate.margin(own, gate.SIGNIFICANT / 2);
    return {
      unit,
      error: own.mean,
      error_interval: [own.mean - around, own.mean + around],
      keras_error: gate.moments(reference).mean,
      error_added: added.mean,
      error_added_bound: added.mean + gate.margin(added, gate.SIGNIFICANT),
      error_added_at_least: added.mean - gate.margin(added, gate.CERTAIN),
      max_error_added: allowed,
      ...(interval === undefined
        ? {}
        : { interval, inside: errors.filter(error => error <= interval).length }),
    };
  }
}

/** The verdict in the words of `_of_numbers` in serving/acceptance.py; `elsewhere` is the cure. */
export function inWords(facts, elsewhere) {
  const { state, unit, maker, error_added_bound: bound, golden_difference: golden } = facts;
  const write = count => count.toLocaleString("en");
  const allowed = general(facts.max_error_added, 3);
  const added = `on ${write(facts.images)} examples it adds`;
  if (state === gate.WORSE && maker.verdict === gate.WORSE)
    return `worse: its maker found it worse than the model that it was made from; ${elsewhere}`;
  if (state === gate.WORSE)
    return (
      `worse: ${added} ${general(facts.error_added, 3)} ${unit} to the mean absolute error, ` +
      `significantly more than the ${allowed} allowed; ${elsewhere}`
    );
  const shown = `${added} at most ${general(bound, 3)} ${unit} to the mean absolute error`;
  if (state === gate.NOT_SHOWN)
    return (
      `not shown: ${shown}, and the ${write(maker.images)} of its maker do not show the ` +
      `${allowed} allowed either`
    );
  const makers =
    `its maker showed on ${write(maker.images)} examples that it adds at most ` +
    `${general(maker.bound, 3)} ${unit}, and those here do not contradict it`;
  return (
    `proven: ${bound > facts.max_error_added ? makers : shown}, where ${allowed} is allowed, ` +
    `and it reproduces the golden vectors within ${general(golden, 1)} ${unit}`
  );
}

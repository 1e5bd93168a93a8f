/** Renders the model card and tables. */

import { LABELS } from "./labels.js"; // made from those of MODEL_CARD.md
import { general, percent } from "./words.js";

/** A new element with these properties and children, strings or elements. */
export function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

/** A table with a caption for screen readers; numbers are right-aligned. */
export function table(caption, columns, rows, className = "") {
  const align = value => (typeof value === "number" ? "number" : "");
  const cell = value => element("td", { className: align(value) }, write(value));
  const head = (name, index) =>
    element("th", { scope: "col", className: align(rows[0]?.[index]) }, name);
  const row = ([name, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...cells.map(cell));
  return element(
    "table",
    { className: `data ${className}` },
    element("caption", { className: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, ...columns.map(head))),
    element("tbody", {}, ...rows.map(row)),
  );
}

/** What one input of the model is called. */
export function noun(card) {
  return card.preprocessing.sound ? "sound" : "image";
}

/** The card as elements to append. */
export function describe(card, pictures) {
  return [
    element("p", {}, element("strong", {}, card.use)),
    element("p", {}, card.number ? errors(card) : accuracy(card)),
    ...thresholds(card).map(text => element("p", {}, text)),
    element("h3", {}, "Limits"),
    element("ul", {}, ...card.limits.map(limit => element("li", {}, limit))),
    element("h3", {}, `How a ${noun(card) === "image" ? "picture" : noun(card)} becomes the input`),
    element("p", {}, sentence(card.preprocessing.description)),
    element("h3", {}, "Files in the bundle, and their results"),
    scrolling("Files", files(card)),
    element("h3", {}, "Targets without Python, and their results"),
    ...card.embedded.flatMap(embedded),
    element("h3", {}, "Provenance"),
    scrolling("Provenance", provenance(card)),
    ...pictures.flatMap(({ address, caption }) => [
      element("h3", {}, caption),
      element("img", { src: address, alt: caption, loading: "lazy" }),
    ]),
  ];
}

function accuracy(card) {
  const [low, high] = card.test_accuracy_interval.map(bound => percent(bound));
  const meant = card.target === "labels" ? " An answer is right if all of its labels are." : "";
  return (
    `Test accuracy is ${percent(card.test_accuracy)} (95 % interval ${low} to ${high}) on ` +
    `${write(card.test_images)} ${noun(card)}s that were never used for training; ` +
    `the baseline reaches ${percent(card.baseline_accuracy)}.${meant}`
  );
}

/** From which probability each of several labels holds, as in MODEL_CARD.md; no line without. */
export function thresholds({ class_names: names, holds_from: least }) {
  if (!least) return [];
  const listed = names.map((name, label) => `${name} ${general(least[label])}`).join(", ");
  return [`Thresholds, chosen on the validation set for the F1 of each label: ${listed}.`];
}

function errors({ number, test_images: images, ...card }) {
  const [low, high] = number.error_interval.map(bound => general(bound));
  const amount = value => `${general(value)} ${number.unit}`;
  return (
    `The mean absolute error on the test set is ${amount(number.error)} (95 % interval ${low} to ` +
    `${high} ${number.unit}), on ${write(images)} ${noun(card)}s that were never used for ` +
    `training; the baseline’s is ${amount(number.baseline_error)}. The root mean square error is ` +
    `${amount(number.root_mean_square_error)}, and R squared ${general(number.r_squared)}.`
  );
}

function files(card) {
  const rows = card.files.flatMap(file =>
    file.proofs.map(proof => [
      file.file,
      file.bytes,
      `${proof.runtime} ${proof.runtime_version}`,
      ...(card.number
        ? [general(proof.error), general(proof.error_added_bound, 3)]
        : [percent(proof.accuracy), percent(proof.accuracy_lost_bound)]),
      proof.median_milliseconds === null ? "" : proof.median_milliseconds.toFixed(3),
    ]),
  );
  const columns = [
    "file",
    "bytes",
    "runtime",
    ...(card.number
      ? [`error, ${card.number.unit}`, `added, at most, ${card.number.unit}`]
      : ["test accuracy", "accuracy loss, at most"]),
    `ms/${noun(card)}`,
  ];
  return table("Files", columns, rows);
}

/** The results of one target; lists become tables. */
function embedded({ target, format, refused, measured }) {
  const heading = element("h4", {}, `embedded/${target}, generated from ${format}`);
  if (refused) return [heading, element("p", {}, `Refused: ${refused}`)];
  const facts = Object.entries(measured);
  const lists = facts.filter(([, value]) => Array.isArray(value) && value.length);
  const tables = lists.map(([name, rows]) => {
    const columns = Object.keys(rows[0]).map(label);
    return scrolling(words(name), table(words(name), columns, rows.map(Object.values)));
  });
  const items = facts
    .filter(([, value]) => !Array.isArray(value))
    .map(([name, value]) => element("li", {}, `${label(name)}: ${listed(value, name)}`));
  return [heading, element("ul", { className: "facts" }, ...items), ...tables];
}

function label(name) {
  return LABELS[name] ?? words(name);
}

function words(name) {
  return name.replaceAll("_", " ");
}

function listed(value, name = "") {
  if (/^(agreement|accuracy)/.test(name)) return percent(value);
  if (typeof value !== "object") return write(value);
  const parts = Object.entries(value).map(([name, inner]) => `${words(name)} ${listed(inner)}`);
  return parts.join("; ") || "none";
}

function provenance(card) {
  const { data_sha256: data, params, ...origins } = card.provenance;
  const rows = Object.entries(origins).map(([name, value]) => [
    words(name), value ?? "filled in on signing",
  ]);
  const digests = Object.entries(data).map(([part, digest]) => [`data: ${part}, SHA-256`, digest]);
  return table("Provenance", ["what", "value"], [...rows, ...digests], "wordy");
}

/** `content` in a region that scrolls sideways on a narrow screen, also with the keyboard. */
function scrolling(name, content) {
  const region = element("div", { className: "scrolling", tabIndex: 0 }, content);
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", name);
  return region;
}

function write(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  return value.toLocaleString("en", { maximumSignificantDigits: Number.isInteger(value) ? 21 : 4 });
}

/** A phrase as a sentence. */
function sentence(phrase) {
  return `${phrase[0].toUpperCase()}${phrase.slice(1)}.`;
}

/** The model card and tables as parts of a page. */

/** A new element with these properties and children, strings or elements. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A table with a caption for screen readers; a number stands at the right. */
export function table(caption, columns, rows, className = "") {
  const side = value => (typeof value === "number" ? "number" : "");
  const cell = value => element("td", { className: side(value) }, write(value));
  const head = (name, index) => element("th", { scope: "col", className: side(rows[0]?.[index]) }, name);
  return element(
    "table",
    { className: `data ${className}` },
    element("caption", { className: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, ...columns.map(head))),
    element("tbody", {}, ...rows.map(([name, ...cells]) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map(cell)))),
  );
}

export function percent(fraction, digits = 2) {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** What the card says, as elements to append. */
export function describe(card, pictures) {
  const [low, high] = card.test_accuracy_interval;
  return [
    element("p", {}, element("strong", {}, card.use)),
    element(
      "p",
      {},
      `Test accuracy ${percent(card.test_accuracy)} (95 % interval ${percent(low)} to ${percent(high)}) on ${write(card.test_images)} ` +
        `images that training never saw; the baseline has ${percent(card.baseline_accuracy)}.`,
    ),
    element("h3", {}, "Limits"),
    element("ul", {}, ...card.limits.map(limit => element("li", {}, limit))),
    element("h3", {}, "A picture becomes the input so"),
    element("p", {}, `${card.preprocessing.description}.`),
    element("h3", {}, "Files of the bundle, and what was found of them"),
    scrolling("Files", files(card)),
    element("h3", {}, "Without Python, and what was measured of it"),
    ...card.embedded.flatMap(embedded),
    element("h3", {}, "Provenance"),
    scrolling("Provenance", provenance(card)),
    ...pictures.flatMap(({ address, caption }) => [element("h3", {}, caption), element("img", { src: address, alt: caption, loading: "lazy" })]),
  ];
}

function files(card) {
  const rows = card.files.flatMap(file =>
    file.proofs.map(proof => [
      file.file,
      file.bytes,
      `${proof.runtime} ${proof.runtime_version}`,
      percent(proof.accuracy),
      percent(proof.accuracy_lost_bound),
      proof.median_milliseconds === null ? "" : proof.median_milliseconds.toFixed(3),
    ]),
  );
  return table("Files", ["file", "bytes", "runtime", "test accuracy", "loses at most", "ms/image"], rows);
}

/** What was measured of one target, in the words of its keys, which name their unit; of several boards or the like as a table. */
function embedded({ target, format, refused, measured }) {
  const heading = element("h4", {}, `embedded/${target}, made from ${format}`);
  if (refused) return [heading, element("p", {}, `Refused: ${refused}`)];
  const facts = Object.entries(measured), several = facts.filter(([, value]) => Array.isArray(value) && value.length);
  const lists = several.map(([name, rows]) => scrolling(words(name), table(words(name), Object.keys(rows[0]).map(words), rows.map(Object.values))));
  const single = facts.filter(([, value]) => !Array.isArray(value)).map(([name, value]) => element("li", {}, `${words(name)}: ${listed(value, name)}`));
  return [heading, element("ul", { className: "facts" }, ...single), ...lists];
}

function words(name) {
  return name.replaceAll("_", " ");
}

function listed(value, name = "") {
  if (/^(agreement|equal)/.test(name)) return percent(value);
  if (typeof value !== "object") return write(value);
  return Object.entries(value).map(([name, inner]) => `${words(name)} ${listed(inner)}`).join("; ") || "none";
}

function provenance(card) {
  const { data_sha256: data, params, ...known } = card.provenance;
  const rows = Object.entries(known).map(([name, value]) => [words(name), value ?? "named when the bundle is signed"]);
  return table("Provenance", ["what", "value"], [...rows, ...Object.entries(data).map(([part, digest]) => [`data: ${part}, SHA-256`, digest])], "wordy");
}

/** `content` in a region that scrolls sideways where the screen is narrow, by keys too. */
function scrolling(name, content) {
  const region = element("div", { className: "scrolling", tabIndex: 0 }, content);
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", name);
  return region;
}

function write(value) {
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: Number.isInteger(value) ? 21 : 4 }) : String(value);
}

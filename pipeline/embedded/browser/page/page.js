/** The page: what is drawn or brought -> what the model says of it. All it knows of the model, it reads from the bundle. */

import { describe, element, percent, table } from "./card.js";
import { Classifier } from "./classifier.js";
import { Drawing } from "./drawing.js";
import { InputError } from "./ink.js";
import { read, toInput } from "./photo.js";

const MOST_BARS = 12;
const PICTURES = { confusion: "What the test images are, and what the model takes them for", mistakes: "Test images that the model gets wrong" };
const MEASURED_MILLISECONDS = 30; // browsers round their clocks to a millisecond, or to a tenth
const STILL_MILLISECONDS = 600; // nothing is announced or measured while the drawing goes on

const by = id => document.getElementById(id);

class Page {
  constructor(classifier) {
    this.classifier = classifier;
    this.card = classifier.card;
    this.action = 0; // the number of what was drawn or brought last
    const [height, width] = this.card.input.shape;
    this.drawing = new Drawing(by("drawing"), height, width, () => this.drawn());
    this.choosePaper();
    this.describe();
    this.warn();
    this.offerProof();
    this.showExamples();
    this.listen();
    this.rest();
  }

  /** Paper and pen as in the test images, by what most of their borders show. */
  choosePaper() {
    const tested = [...this.classifier.golden.labels.keys()].filter(index => this.classifier.golden.labels[index] >= 0);
    const borders = tested.map(index => border(this.classifier.goldenImage(index), this.card.input.shape));
    const dark = borders.filter(brightness => brightness < 128).length * 2 > borders.length;
    this.drawing.paper = dark ? "#000000" : "#ffffff";
    this.drawing.pen.colour = by("pen-colour").value = dark ? "#ffffff" : "#000000";
    by("pen-colour-label").hidden = this.card.input.shape[2] === 1;
    this.drawing.render();
  }

  describe() {
    const { name, version, statement, input } = this.card;
    document.title = `${name} ${version}`;
    by("name").replaceChildren(name, " ", element("small", {}, version));
    by("statement").textContent = statement;
    by("shape").textContent = input.shape.join(" × ");
    const pictures = Object.entries(PICTURES).map(([name, caption]) => ({ address: `../../pictures/${name}.png`, caption }));
    by("card").append(...describe(this.card, pictures));
  }

  /** Of a draft: that it is not proven, and each gate that it fails. */
  warn() {
    const failures = this.card.not_proven ?? [];
    by("draft").hidden = !failures.length;
    by("failures").replaceChildren(...failures.map(failure => element("li", {}, failure)));
    if (failures.length) document.title += ", NOT PROVEN";
  }

  /** Without an acceptance set there is nothing to prove it with. */
  offerProof() {
    const { acceptance_images: images, no_acceptance: why } = this.card;
    by("prove").hidden = !images;
    if (!images) by("verdict").textContent = `The bundle has no acceptance set to prove it with (${why ?? "it was made without one"}).`;
  }

  showExamples() {
    this.classifier.golden.labels.forEach((label, index) => {
      if (label < 0) return; // a synthetic extreme
      const pixels = this.classifier.goldenImage(index), canvas = paint(document.createElement("canvas"), pixels, this.card.input.shape);
      const button = element("button", { type: "button" }, canvas);
      button.setAttribute("aria-label", `Test image ${index + 1}, of class ${this.card.class_names[label]}`);
      button.addEventListener("click", () => {
        this.begin();
        this.drawing.show(canvas);
        this.answer(pixels, 0);
      });
      by("examples").append(button);
    });
  }

  listen() {
    by("undo").addEventListener("click", () => this.drawing.undo());
    by("clear").addEventListener("click", () => this.drawing.clear());
    by("pen-width").addEventListener("input", event => (this.drawing.pen.width = event.target.value / 100));
    by("pen-colour").addEventListener("input", event => (this.drawing.pen.colour = event.target.value));
    by("compare").addEventListener("click", () => this.compare());
    by("prove").addEventListener("click", () => this.prove());
    for (const id of ["picture", "camera"])
      by(id).addEventListener("change", ({ target }) => {
        if (target.files.length) this.bring(target.files[0]);
        target.value = "";
      });
    document.addEventListener("paste", ({ clipboardData }) => pictureIn(clipboardData) && this.bring(pictureIn(clipboardData)));
    document.addEventListener("dragover", event => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
    document.addEventListener("drop", event => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.bring(pictureIn(event.dataTransfer));
    });
  }

  /** Asks for an answer to the drawing, once for each frame that is shown. */
  drawn() {
    this.begin();
    this.frame = requestAnimationFrame(() => (this.drawing.empty ? this.rest() : this.attempt(() => toInput(this.drawing.sheet, this.card))));
  }

  async bring(file) {
    await this.attempt(async isLatest => {
      if (!file) throw new InputError("what was dropped is no picture; drop a PNG or JPEG");
      const picture = await createImageBitmap(file).catch(() => null);
      if (!isLatest()) return null;
      this.drawing.show(picture);
      return read(file, this.card);
    });
  }

  /** Whatever is still being prepared will not be answered; the number of what begins now. */
  begin() {
    cancelAnimationFrame(this.frame);
    return ++this.action;
  }

  /** Answers what `prepare` makes, or tells what it refuses, unless something else has begun meanwhile. */
  async attempt(prepare) {
    const action = this.begin(), isLatest = () => action === this.action, started = performance.now();
    try {
      const pixels = await prepare(isLatest);
      if (isLatest()) this.answer(pixels, performance.now() - started);
    } catch (error) {
      if (isLatest()) this.rest(error.message);
      if (!(error instanceof InputError)) throw error;
    }
  }

  /** What stands there while there is no answer. */
  rest(problem = "") {
    clearTimeout(this.still);
    by("answer").textContent = problem ? "No answer" : "Nothing drawn yet";
    by("problem").textContent = problem;
    by("problem").hidden = !problem;
    by("announcement").textContent = by("latency").textContent = "";
    this.showBars(null);
    paint(by("seen"), new Uint8Array(this.classifier.input.length), this.card.input.shape);
  }

  answer(pixels, preparation) {
    const probabilities = this.classifier.predict(pixels), likeliest = probabilities.indexOf(Math.max(...probabilities));
    const [name, share] = [this.card.class_names[likeliest], percent(probabilities[likeliest])];
    by("problem").hidden = true;
    by("announcement").textContent = "";
    by("answer").replaceChildren(name, element("small", {}, share));
    paint(by("seen"), pixels, this.card.input.shape);
    this.showBars(probabilities);
    clearTimeout(this.still);
    this.still = setTimeout(() => {
      by("announcement").textContent = `${name}, ${share}`;
      const prepared = preparation ? `, ${preparation.toFixed(1)} ms to prepare the image` : "";
      by("latency").textContent = `${this.measure(pixels).toFixed(2)} ms for the model in WebAssembly${prepared}`;
    }, STILL_MILLISECONDS);
  }

  /** All classes in the card's order; where these are many, the likeliest. */
  showBars(probabilities) {
    const order = this.card.class_names.map((_, index) => index);
    if (order.length > MOST_BARS && probabilities) order.sort((one, other) => probabilities[other] - probabilities[one]);
    const largest = probabilities && Math.max(...probabilities);
    const rows = order.slice(0, MOST_BARS).map(index => {
      const share = probabilities ? probabilities[index] : 0, bar = element("span", { className: "bar" });
      bar.style.setProperty("--share", share);
      const head = element("th", { scope: "row", title: this.card.class_names[index] }, this.card.class_names[index]);
      const className = probabilities && share === largest ? "likeliest" : "";
      return element("tr", { className }, head, element("td", {}, bar), element("td", {}, probabilities ? percent(share) : "–"));
    });
    by("probabilities").replaceChildren(...rows);
  }

  /** Milliseconds of one prediction: as many as fit into some milliseconds, divided by their count. */
  measure(pixels) {
    const started = performance.now();
    for (let count = 1; ; count++) {
      this.classifier.predict(pixels);
      const passed = performance.now() - started;
      if (passed >= MEASURED_MILLISECONDS) return passed / count;
    }
  }

  /** Runs the gate on this device, and shows its verdict and what stands behind it. */
  async prove() {
    const [verdict, progress] = [by("verdict"), by("prove-progress")];
    verdict.textContent = by("prove-problem").textContent = "";
    by("prove").disabled = true;
    progress.hidden = false;
    try {
      const { prove } = await import("./prove.js");
      const facts = await prove(this.classifier, (done, images) => Object.assign(progress, { value: done, max: images }));
      verdict.textContent = `${facts.sentence[0].toUpperCase()}${facts.sentence.slice(1)}.`;
      by("proof").replaceChildren(table("What the gate says of this browser", ["what", "here"], proofRows(facts)));
      by("proof").hidden = false;
    } catch (error) {
      by("prove-problem").textContent = error.message;
    } finally {
      by("prove").disabled = false;
      progress.hidden = true;
      progress.removeAttribute("value");
    }
  }

  async compare() {
    by("comparison-problem").textContent = "";
    try {
      const { compare, load } = await import("./comparison.js");
      this.other ??= await load(this.classifier);
      await compare(this.classifier, this.other, 1);
      const { images, largest, own, other } = await compare(this.classifier, this.other);
      const rows = [["WebAssembly from generated C", own.toFixed(2), ""], [this.other.name, other.toFixed(2), largest.toExponential(1)]];
      by("comparison").replaceChildren(table(`Both engines on ${images} images`, ["engine", "ms/image", "largest difference of a probability"], rows));
      by("comparison").hidden = false;
    } catch (error) {
      by("comparison-problem").textContent = error.message;
    }
  }
}

/** The rows of the table below the verdict. */
function proofRows(facts) {
  const [low, high] = facts.accuracy_interval;
  return [
    ["test images", facts.images],
    ["accuracy here", `${percent(facts.accuracy)} (95 % interval ${percent(low)} to ${percent(high)})`],
    ["accuracy of the trained model", percent(facts.keras_accuracy)],
    ["lost and gained", `${facts.lost} and ${facts.gained} (McNemar’s p-value ${facts.mcnemar_p_value.toPrecision(2)})`],
    ["loses at most, by these images", percent(facts.accuracy_lost_bound)],
    ["loss that is allowed", percent(facts.max_accuracy_drop)],
    ["same class as the trained model", percent(facts.agreement)],
    ["largest difference of a probability", facts.largest_difference.toExponential(1)],
    ["of golden vectors", facts.golden_difference.toExponential(1)],
    ["milliseconds for an image, median", facts.milliseconds.toFixed(2)],
  ];
}

function pictureIn(transfer) {
  return [...(transfer?.files ?? [])].find(file => file.type.startsWith("image/"));
}

/** Raw pixels of `shape` on `canvas`. */
function paint(canvas, pixels, [height, width, channels]) {
  const image = new ImageData(width, height);
  for (let index = 0; index < width * height; index++)
    for (let channel = 0; channel < 4; channel++)
      image.data[4 * index + channel] = channel === 3 ? 255 : pixels[index * channels + Math.min(channel, channels - 1)];
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The mean brightness of an image's border. */
function border(pixels, [height, width, channels]) {
  let sum = 0, count = 0;
  for (let index = 0; index < pixels.length; index++) {
    const row = Math.floor(index / (width * channels)), column = Math.floor(index / channels) % width;
    if (row % (height - 1) && column % (width - 1)) continue;
    sum += pixels[index];
    count++;
  }
  return sum / count;
}

/** A server of our own tells where its page is (RFC 8631); another host does not. */
async function linkServer() {
  const response = await fetch(location.href, { method: "HEAD" });
  await response.arrayBuffer();
  const found = /<([^>]+)>; rel="service-doc"/.exec(response.headers.get("link") ?? "");
  if (found) Object.assign(by("server"), { href: found[1], hidden: false });
}

try {
  new Page(await Classifier.load());
  by("notice").hidden = true;
  by("main").hidden = false;
  await linkServer();
} catch (error) {
  by("notice").classList.remove("waiting");
  by("notice").textContent = `This page could not start: ${error.message}.`;
}

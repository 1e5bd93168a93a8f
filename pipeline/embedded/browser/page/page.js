/**
 * The page: classifies what the user draws or provides. Everything it knows about the model comes
 * from the bundle.
 */

import { describe, element, percent } from "./card.js";
import { Classifier } from "./classifier.js";
import { Drawing } from "./drawing.js";
import { InputError } from "./ink.js";
import { read, toInput } from "./photo.js";
import { offerTrials } from "./trials.js";

const MOST_BARS = 12;
const PICTURES = {
  confusion: "Confusion matrix: true classes of the test images and the predicted ones",
  mistakes: "Test images that the model misclassifies",
};
// Long enough for clocks that browsers round to a millisecond or a tenth of one.
const MEASURED_MILLISECONDS = 30;
// Nothing is announced or measured until the drawing has been still for this long.
const STILL_MILLISECONDS = 600;

const by = id => document.getElementById(id);

class Page {
  constructor(classifier) {
    this.classifier = classifier;
    this.card = classifier.card;
    this.action = 0; // the number of the latest drawing or picture
    const [height, width] = this.card.input.shape;
    this.drawing = new Drawing(by("drawing"), height, width, () => this.drawn());
    this.choosePaper();
    this.describe();
    this.warn();
    offerTrials(classifier);
    this.showExamples();
    this.listen();
    this.rest();
  }

  /** Makes paper and pen dark or light as in most test images, judged by their borders. */
  choosePaper() {
    const { labels } = this.classifier.golden;
    const tests = [...labels.keys()].filter(index => labels[index] >= 0);
    const borders = tests.map(index =>
      border(this.classifier.goldenImage(index), this.card.input.shape),
    );
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
    const pictures = Object.entries(PICTURES).map(([picture, caption]) => ({
      address: `../../pictures/${picture}.png`,
      caption,
    }));
    by("card").append(...describe(this.card, pictures));
  }

  /** Warns that a draft is not proven, and lists the gates that it fails. */
  warn() {
    const failures = this.card.not_proven ?? [];
    by("draft").hidden = !failures.length;
    by("failures").replaceChildren(...failures.map(failure => element("li", {}, failure)));
    if (failures.length) document.title += ", NOT PROVEN";
  }

  showExamples() {
    this.classifier.golden.labels.forEach((label, index) => {
      if (label < 0) return; // a synthetic input
      const pixels = this.classifier.goldenImage(index);
      const canvas = paint(document.createElement("canvas"), pixels, this.card.input.shape);
      const button = element("button", { type: "button" }, canvas);
      const name = this.card.class_names[label];
      button.setAttribute("aria-label", `Test image ${index + 1}, of class ${name}`);
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
    by("pen-width").addEventListener("input", ({ target }) => {
      this.drawing.pen.width = target.value / 100;
    });
    by("pen-colour").addEventListener("input", ({ target }) => {
      this.drawing.pen.colour = target.value;
    });
    for (const id of ["picture", "camera"])
      by(id).addEventListener("change", ({ target }) => {
        if (target.files.length) this.open(target.files[0]);
        target.value = "";
      });
    document.addEventListener("paste", ({ clipboardData }) => {
      const picture = pictureIn(clipboardData);
      if (picture) this.open(picture);
    });
    document.addEventListener("dragover", event => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
    document.addEventListener("drop", event => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.open(pictureIn(event.dataTransfer));
    });
  }

  /** Classifies the drawing, at most once per frame. */
  drawn() {
    this.begin();
    this.frame = requestAnimationFrame(() => {
      if (this.drawing.empty) this.rest();
      else this.attempt(() => toInput(this.drawing.sheet, this.card, true));
    });
  }

  /** Shows and classifies a picture file. */
  async open(file) {
    await this.attempt(async isLatest => {
      if (!file) throw new InputError("what was dropped is not a picture; drop a PNG or JPEG");
      const picture = await createImageBitmap(file).catch(() => null);
      if (!isLatest()) return null;
      this.drawing.show(picture);
      return read(file, this.card);
    });
  }

  /** Starts a new action and returns its number; the result of an older one will be dropped. */
  begin() {
    cancelAnimationFrame(this.frame);
    return ++this.action;
  }

  /** Classifies what `prepare` returns, or shows its error, unless a newer action has begun. */
  async attempt(prepare) {
    const action = this.begin();
    const isLatest = () => action === this.action;
    const started = performance.now();
    try {
      const pixels = await prepare(isLatest);
      if (isLatest()) this.answer(pixels, performance.now() - started);
    } catch (error) {
      if (isLatest()) this.rest(error.message);
      if (!(error instanceof InputError)) throw error;
    }
  }

  /** Shows that there is no answer, and why. */
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
    const { answer, probabilities } = this.classifier.classify(pixels);
    const likeliest = probabilities.indexOf(Math.max(...probabilities));
    const guess = this.card.class_names[likeliest];
    const share = percent(probabilities[likeliest]);
    const name = answer ?? "None of these";
    const note = answer === null ? `best guess ${guess}, ${share}` : share;
    by("problem").hidden = true;
    by("announcement").textContent = "";
    by("answer").replaceChildren(name, element("small", {}, note));
    paint(by("seen"), pixels, this.card.input.shape);
    this.showBars(probabilities, answer);
    clearTimeout(this.still);
    this.still = setTimeout(() => {
      by("announcement").textContent = `${name}, ${note}`;
      const model = `${this.measure(pixels).toFixed(2)} ms for the model in WebAssembly`;
      const prepared = preparation ? `, ${preparation.toFixed(1)} ms to prepare the image` : "";
      by("latency").textContent = model + prepared;
    }, STILL_MILLISECONDS);
  }

  /** Shows all classes in the card's order, or the likeliest if there are many. */
  showBars(probabilities, answer = null) {
    const order = this.card.class_names.map((_, index) => index);
    if (order.length > MOST_BARS && probabilities)
      order.sort((first, second) => probabilities[second] - probabilities[first]);
    const rows = order.slice(0, MOST_BARS).map(index => {
      const name = this.card.class_names[index];
      const share = probabilities ? probabilities[index] : 0;
      const bar = element("span", { className: "bar" });
      bar.style.setProperty("--share", share);
      const className = name === answer ? "likeliest" : "";
      return element(
        "tr",
        { className },
        element("th", { scope: "row", title: name }, name),
        element("td", {}, bar),
        element("td", {}, probabilities ? percent(share) : "–"),
      );
    });
    by("probabilities").replaceChildren(...rows);
  }

  /** Milliseconds per prediction, averaged over MEASURED_MILLISECONDS. */
  measure(pixels) {
    const started = performance.now();
    for (let count = 1; ; count++) {
      this.classifier.predict(pixels);
      const passed = performance.now() - started;
      if (passed >= MEASURED_MILLISECONDS) return passed / count;
    }
  }
}

function pictureIn(transfer) {
  return [...(transfer?.files ?? [])].find(file => file.type.startsWith("image/"));
}

/** Draws raw pixels of the given shape on `canvas`. */
function paint(canvas, pixels, [height, width, channels]) {
  const image = new ImageData(width, height);
  image.data.fill(255); // opaque
  for (let index = 0; index < width * height; index++)
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * index + channel] = pixels[index * channels + Math.min(channel, channels - 1)];
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The mean brightness of the border of an image. */
function border(pixels, [height, width, channels]) {
  let sum = 0;
  let count = 0;
  for (let index = 0; index < pixels.length; index++) {
    const row = Math.floor(index / (width * channels));
    const column = Math.floor(index / channels) % width;
    if (row % (height - 1) && column % (width - 1)) continue;
    sum += pixels[index];
    count++;
  }
  return sum / count;
}

/** Links to the page of a `serving` server, which announces its address (RFC 8631). */
async function linkServer() {
  const response = await fetch(location.href, { method: "HEAD" });
  await response.arrayBuffer();
  const match = /<([^>]+)>; rel="service-doc"/.exec(response.headers.get("link") ?? "");
  if (match) Object.assign(by("server"), { href: match[1], hidden: false });
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

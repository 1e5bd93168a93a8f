/**
 * What the pages for all kinds of input share: a page shows what the model answers to an input, and
 * what the bundle says of the model. Everything it knows comes from the bundle.
 */

import { target } from "./answers.js";
import { describe, element } from "./card.js";
import { offerTrials } from "./trials.js";
import { percent } from "./words.js";

const MOST_BARS = 12;
const PICTURES = {
  classes: {
    confusion: "Confusion matrix: true classes of the test NOUNs and the predicted ones",
    mistakes: "Test NOUNs that the model misclassifies",
  },
  labels: {
    confusion: "Labels of the test NOUNs that were found, and those given in place of others",
    mistakes: "Test NOUNs with a wrong label",
  },
  number: {
    confusion: "True numbers of the test NOUNs, and the predicted ones",
    mistakes: "Test NOUNs with the largest errors",
  },
};
// Long enough for clocks that browsers round to a millisecond or a tenth of one.
const MEASURED_MILLISECONDS = 30;
// Nothing is announced or measured until the input has been the same for this long.
const STILL_MILLISECONDS = 600;

export const by = id => document.getElementById(id);

/**
 * A kind of page has NOUN, what one input is; NOTHING, the answer before there is one; InputError,
 * the class of errors that are the user's; `paint`, which draws an input on a canvas; `open`, which
 * takes a file; and `example`, which shows the canvas of an example that was chosen.
 */
export class Page {
  constructor(classifier) {
    this.classifier = classifier;
    this.card = classifier.card;
    this.target = target(this.card);
    this.action = 0; // the number of the latest input
    this.describe();
    this.warn();
    offerTrials(classifier);
    this.showExamples();
    this.receiveFiles();
  }

  describe() {
    const { name, version, statement, input } = this.card;
    document.title = `${name} ${version}`;
    by("name").replaceChildren(name, " ", element("small", {}, version));
    by("statement").textContent = statement;
    by("shape").textContent = input.shape.join(" × ");
    const pictures = Object.entries(PICTURES[this.card.target]).map(([picture, caption]) => ({
      address: `../../pictures/${picture}.png`,
      caption: caption.replace("NOUN", this.constructor.NOUN),
    }));
    by("bars").hidden = this.card.target === "number";
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
      if (label === null) return; // a synthetic input
      const input = this.classifier.goldenImage(index);
      const canvas = this.paint(document.createElement("canvas"), input);
      const button = element("button", { type: "button" }, canvas);
      const shown = `Test ${this.constructor.NOUN} ${index + 1}`;
      button.setAttribute("aria-label", `${shown}, ${this.target.labelled(this.card, label)}`);
      button.addEventListener("click", () => {
        this.begin();
        this.example(canvas);
        this.answer(input, 0);
      });
      by("examples").append(button);
    });
  }

  /** Opens files that are chosen or dropped. */
  receiveFiles() {
    for (const chooser of document.querySelectorAll("input[type=file]"))
      chooser.addEventListener("change", ({ target }) => {
        if (target.files.length) this.open(target.files[0]);
        target.value = "";
      });
    document.addEventListener("dragover", event => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
    document.addEventListener("drop", event => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.open(this.fileIn(event.dataTransfer));
    });
  }

  /** Starts a new action and returns its number; the result of an older one will be dropped. */
  begin() {
    return ++this.action;
  }

  /** Classifies what `prepare` returns, or shows its error, unless a newer action has begun. */
  async attempt(prepare) {
    const action = this.begin();
    const isLatest = () => action === this.action;
    const started = performance.now();
    try {
      const input = await prepare(isLatest);
      if (isLatest()) this.answer(input, performance.now() - started);
    } catch (error) {
      if (isLatest()) this.rest(error.message);
      if (!(error instanceof this.constructor.InputError)) throw error;
    }
  }

  /** Shows that there is no answer, and why. */
  rest(problem = "") {
    clearTimeout(this.still);
    by("answer").textContent = problem ? "No answer" : this.constructor.NOTHING;
    by("problem").textContent = problem;
    by("problem").hidden = !problem;
    by("announcement").textContent = by("latency").textContent = "";
    this.showBars(null);
    this.paint(by("seen"), new Uint8Array(this.classifier.input.length));
  }

  answer(input, preparation) {
    const { answer, probabilities } = this.classifier.classify(input);
    const [name, note] = this.target.words(this.card, answer, probabilities);
    by("problem").hidden = true;
    by("announcement").textContent = "";
    by("answer").replaceChildren(name, element("small", {}, note));
    this.paint(by("seen"), input);
    this.showBars(probabilities, answer);
    clearTimeout(this.still);
    this.still = setTimeout(() => {
      by("announcement").textContent = note ? `${name}, ${note}` : name;
      const model = `${this.measure(input).toFixed(2)} ms for the model in WebAssembly`;
      const noun = this.constructor.NOUN;
      const prepared = preparation ? `, ${preparation.toFixed(1)} ms to prepare the ${noun}` : "";
      by("latency").textContent = model + prepared;
    }, STILL_MILLISECONDS);
  }

  /**
   * Shows all classes in the card's order, or the likeliest if there are many, first those of the
   * answer: a label may hold from a lower probability than others. Not a number.
   */
  showBars(probabilities, answer = null) {
    if (by("bars").hidden) return;
    const names = this.card.class_names, answers = [answer].flat();
    const order = names.map((_, index) => index);
    const rank = index => Number(answers.includes(names[index])) + probabilities[index] / 2;
    if (order.length > MOST_BARS && probabilities)
      order.sort((first, second) => rank(second) - rank(first));
    const rows = order.slice(0, MOST_BARS).map(index => {
      const name = names[index];
      const share = probabilities ? probabilities[index] : 0;
      const bar = element("span", { className: "bar" });
      bar.style.setProperty("--share", share);
      const className = answers.includes(name) ? "likeliest" : "";
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
  measure(input) {
    const started = performance.now();
    for (let count = 1; ; count++) {
      this.classifier.predict(input);
      const passed = performance.now() - started;
      if (passed >= MEASURED_MILLISECONDS) return passed / count;
    }
  }
}

/** Starts the page that `open` gives, or says why it cannot start. */
export async function start(open) {
  try {
    await open();
    await linkServer();
    by("notice").hidden = true;
    by("main").hidden = false;
  } catch (error) {
    by("notice").classList.remove("waiting");
    by("notice").textContent = `This page could not start: ${error.message}.`;
  }
}

/**
 * Links to the page of a `serving` server, which announces its address (RFC 8631). Such a server
 * has a second engine only if it says so.
 */
async function linkServer() {
  const response = await fetch(location.href, { method: "HEAD" });
  await response.arrayBuffer();
  const links = response.headers.get("link") ?? "";
  const match = /<([^>]+)>; rel="service-doc"/.exec(links);
  if (!match) return;
  Object.assign(by("server"), { href: match[1], hidden: false });
  by("second-engine").hidden = !links.includes("node_modules");
}

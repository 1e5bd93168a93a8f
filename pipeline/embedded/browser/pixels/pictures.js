/** The page for pictures: classifies what the user draws or provides. */

import { Classifier } from "./classifier.js";
import { Drawing } from "./drawing.js";
import { InputError } from "./ink.js";
import { Page, by, start } from "./page.js";
import { read, toInput } from "./photo.js";

class PicturePage extends Page {
  static NOUN = "image";
  static NOTHING = "Nothing drawn yet";
  static InputError = InputError;

  constructor(classifier) {
    super(classifier);
    const [height, width] = this.card.input.shape;
    this.drawing = new Drawing(by("drawing"), height, width, () => this.drawn());
    this.choosePaper();
    this.listen();
    this.rest();
  }

  /** Makes paper and pen dark or light as in most test images, judged by their borders. */
  choosePaper() {
    const { labels } = this.classifier.golden;
    const tests = [...labels.keys()].filter(index => labels[index] !== null);
    const borders = tests.map(index =>
      border(this.classifier.goldenImage(index), this.card.input.shape),
    );
    const dark = borders.filter(brightness => brightness < 128).length * 2 > borders.length;
    this.drawing.paper = dark ? "#000000" : "#ffffff";
    this.drawing.pen.colour = by("pen-colour").value = dark ? "#ffffff" : "#000000";
    by("pen-colour-label").hidden = this.card.input.shape[2] === 1;
    this.drawing.render();
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
    document.addEventListener("paste", ({ clipboardData }) => {
      const picture = pictureIn(clipboardData);
      if (picture) this.open(picture);
    });
  }

  paint(canvas, pixels) {
    return paint(canvas, pixels, this.card.input.shape);
  }

  example(canvas) {
    this.drawing.show(canvas);
  }

  fileIn(data) {
    return pictureIn(data);
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

  begin() {
    cancelAnimationFrame(this.frame);
    return super.begin();
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

await start(async () => new PicturePage(await Classifier.load()));

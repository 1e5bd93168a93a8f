/** A sheet to draw on, with pointer or keys, which also shows the picture that was brought instead. */

const LONGER_SIDE = 512; // twice the longest side that ink.js works on
const STEP = 1 / 32; // of the sheet, that an arrow key goes
const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

export class Drawing {
  /** Draws on `canvas`, whose sides are as those of the model's input; `changed` is called after each change. */
  constructor(canvas, height, width, changed) {
    const scale = LONGER_SIDE / Math.max(height, width);
    Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    this.canvas = canvas;
    this.changed = changed;
    this.sheet = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    this.history = [[]]; // each entry: the strokes that were there, oldest state first
    this.cursor = { x: 0.5, y: 0.5, shown: false };
    this.penDown = false;
    this.stroke = null; // the one under way
    this.pen = { width: 0.08, colour: "white" };
    this.paper = "black";
    this.picture = null;
    this.listen();
    this.render();
  }

  /** Whether nothing is drawn and no picture is shown. */
  get empty() {
    return !this.picture && !this.strokes.length;
  }

  get strokes() {
    return this.history.at(-1);
  }

  /** Shows an image in place of what was drawn. */
  show(picture) {
    this.lift();
    this.history = [[]];
    this.picture = picture;
    this.render();
  }

  undo() {
    this.lift();
    if (this.history.length > 1) this.history.pop();
    this.picture = null;
    this.update();
  }

  clear() {
    this.lift();
    this.picture = null;
    if (this.strokes.length) this.history.push([]);
    this.update();
  }

  begin(point) {
    this.picture = null;
    this.stroke = { ...this.pen, points: [point] };
    this.history.push([...this.strokes, this.stroke]);
    this.update();
  }

  /** Draws on, unless what was begun has been taken away meanwhile. */
  extend(...points) {
    if (!this.stroke) return;
    this.stroke.points.push(...points);
    this.update();
  }

  lift() {
    this.penDown = false;
    this.stroke = null;
  }

  update() {
    this.render();
    this.changed();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", event => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.cursor.shown = this.penDown = false;
      this.begin(this.point(event));
    });
    canvas.addEventListener("pointermove", event => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const events = event.getCoalescedEvents?.() ?? [];
      this.extend(...(events.length ? events : [event]).map(each => this.point(each)));
    });
    canvas.addEventListener("keydown", event => {
      if (this.key(event)) event.preventDefault();
    });
    canvas.addEventListener("blur", () => {
      this.cursor.shown = this.penDown = false;
      this.render();
    });
  }

  /** Whether `event` was a key of the drawing area's. */
  key(event) {
    if (event.key in ARROWS) this.move(...ARROWS[event.key]);
    else if (event.key === " ") this.togglePen();
    else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) this.undo();
    else if (event.key === "Delete") this.clear();
    else return false;
    return true;
  }

  move(right, down) {
    const within = value => Math.min(Math.max(value, 0), 1), { width, height } = this.canvas, step = STEP * Math.max(width, height);
    Object.assign(this.cursor, { shown: true, x: within(this.cursor.x + (right * step) / width), y: within(this.cursor.y + (down * step) / height) });
    if (this.penDown) this.extend({ x: this.cursor.x, y: this.cursor.y });
    else this.render();
  }

  togglePen() {
    this.cursor.shown = true;
    this.penDown = !this.penDown;
    if (this.penDown) this.begin({ x: this.cursor.x, y: this.cursor.y });
    else this.update();
  }

  /** Where on the sheet an event is, each axis from 0 to 1. */
  point(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  }

  render() {
    const { width, height } = this.sheet, context = this.sheet.getContext("2d");
    context.fillStyle = this.paper;
    context.fillRect(0, 0, width, height);
    if (this.picture) contain(context, this.picture, width, height);
    for (const stroke of this.strokes) trace(context, stroke, width, height);
    const visible = this.canvas.getContext("2d");
    visible.drawImage(this.sheet, 0, 0);
    if (this.cursor.shown) this.mark(visible, this.cursor.x * width, this.cursor.y * height);
    this.canvas.setAttribute("aria-label", this.penDown ? "Drawing area, pen down" : "Drawing area");
  }

  /** The cursor of the keys: a ring as wide as the pen, filled while it is down. */
  mark(context, x, y) {
    const radius = (this.pen.width * Math.max(this.sheet.width, this.sheet.height)) / 2;
    for (const [colour, lineWidth] of [["white", 8], ["#0b62a8", 4]]) {
      context.beginPath();
      context.arc(x, y, Math.max(radius, 8), 0, 2 * Math.PI);
      Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth });
      context.stroke();
      if (this.penDown) context.fill();
    }
  }
}

function trace(context, stroke, width, height) {
  const [[x, y], ...others] = stroke.points.map(point => [point.x * width, point.y * height]);
  Object.assign(context, { strokeStyle: stroke.colour, lineWidth: stroke.width * Math.max(width, height), lineCap: "round", lineJoin: "round" });
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + 0.01, y); // so that a tap leaves a dot: of a line without length nothing is drawn
  for (const point of others) context.lineTo(...point);
  context.stroke();
}

/** The whole picture, as large as fits; one smaller than the sheet keeps its pixels' edges. */
function contain(context, picture, width, height) {
  const scale = Math.min(width / picture.width, height / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  context.imageSmoothingEnabled = scale < 4;
  context.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
}

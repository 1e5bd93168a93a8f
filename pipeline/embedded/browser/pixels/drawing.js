/** A sheet to draw on with pointer or keyboard. It can show a picture instead. */

const LONGER_SIDE = 512; // pixels, twice the longest side that ink.js works on
const STEP = 1 / 32; // how far an arrow key moves, as a fraction of the sheet
const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

export class Drawing {
  /**
   * Draws on `canvas`, which gets the aspect ratio of the model's input of `height` and `width`.
   * Calls `changed` after every change.
   */
  constructor(canvas, height, width, changed) {
    const scale = LONGER_SIDE / Math.max(height, width);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    this.canvas = canvas;
    this.changed = changed;
    this.sheet = document.createElement("canvas");
    this.sheet.width = canvas.width;
    this.sheet.height = canvas.height;
    this.history = [[]]; // the strokes after each change, oldest first
    this.cursor = { x: 0.5, y: 0.5, shown: false };
    this.penDown = false;
    this.stroke = null; // the stroke being drawn
    this.pen = { width: 0.08, colour: "white" };
    this.paper = "black";
    this.picture = null;
    this.listen();
    this.render();
  }

  /** Whether there is neither a drawing nor a picture. */
  get empty() {
    return !this.picture && !this.strokes.length;
  }

  get strokes() {
    return this.history.at(-1);
  }

  /** Shows an image instead of the drawing. */
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

  /** Continues the current stroke, unless it has been removed in the meantime. */
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
      this.extend(...(events.length ? events : [event]).map(item => this.point(item)));
    });
    canvas.addEventListener("keydown", event => {
      if (this.key(event)) event.preventDefault();
    });
    canvas.addEventListener("blur", () => {
      this.cursor.shown = this.penDown = false;
      this.render();
    });
  }

  /** Handles a key of the drawing area; false if `event` is another key. */
  key(event) {
    if (event.key in ARROWS) this.move(...ARROWS[event.key]);
    else if (event.key === " ") this.togglePen();
    else if (event.key === "Backspace" || isUndo(event)) this.undo();
    else if (event.key === "Delete") this.clear();
    else return false;
    return true;
  }

  move(right, down) {
    const { width, height } = this.canvas;
    const step = STEP * Math.max(width, height);
    const clamp = value => Math.min(Math.max(value, 0), 1);
    this.cursor.shown = true;
    this.cursor.x = clamp(this.cursor.x + (right * step) / width);
    this.cursor.y = clamp(this.cursor.y + (down * step) / height);
    if (this.penDown) this.extend({ x: this.cursor.x, y: this.cursor.y });
    else this.render();
  }

  togglePen() {
    this.cursor.shown = true;
    this.penDown = !this.penDown;
    if (this.penDown) this.begin({ x: this.cursor.x, y: this.cursor.y });
    else this.update();
  }

  /** The position of an event on the sheet, 0 to 1 on each axis. */
  point(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  }

  render() {
    const { width, height } = this.sheet;
    const context = this.sheet.getContext("2d");
    context.fillStyle = this.paper;
    context.fillRect(0, 0, width, height);
    if (this.picture) contain(context, this.picture, width, height);
    for (const stroke of this.strokes) trace(context, stroke, width, height);
    const visible = this.canvas.getContext("2d");
    visible.drawImage(this.sheet, 0, 0);
    if (this.cursor.shown) this.mark(visible, this.cursor.x * width, this.cursor.y * height);
    const label = this.penDown ? "Drawing area, pen down" : "Drawing area";
    this.canvas.setAttribute("aria-label", label);
  }

  /** Draws the keyboard cursor: a ring as wide as the pen, filled while the pen is down. */
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

function isUndo(event) {
  return event.key === "z" && (event.ctrlKey || event.metaKey);
}

function trace(context, stroke, width, height) {
  const [[x, y], ...others] = stroke.points.map(point => [point.x * width, point.y * height]);
  const lineWidth = stroke.width * Math.max(width, height);
  const style = { strokeStyle: stroke.colour, lineWidth, lineCap: "round", lineJoin: "round" };
  Object.assign(context, style);
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + 0.01, y); // so that a tap leaves a dot: a line of zero length is not drawn
  for (const point of others) context.lineTo(...point);
  context.stroke();
}

/** Draws the whole picture as large as fits; a small one keeps the edges of its pixels. */
function contain(context, picture, width, height) {
  const scale = Math.min(width / picture.width, height / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  context.imageSmoothingEnabled = scale < 4;
  context.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
}

/**
 * Turns a photo of something drawn or written into an image like those of MNIST.
 *
 * This is `normalize` of `serving/photo.py` in JavaScript, step by step, with the same result to the pixel.
 * That file explains the steps. Quotients are rounded to the nearest, halves up; a side has at least 1 pixel;
 * edges are padded with the pixels there. The bundle's example photos hold both to the same result.
 *
 * A plane is {height, width, data}: integers, row by row, all far below 2 ** 31.
 */

export class InputError extends Error {}

const LONGEST = 256;
const REACH = 28;
const LEAST_CONTRAST = 16;
const NOTHING = "nothing that stands out from its background";

/**
 * Grey plane, 0 to 255 -> plane of `size` x `size`, 0 to 255.
 * Throws InputError if nothing stands out from the background.
 */
export function draw(grey, size, box) {
  let ink = lightInk(shrink(grey));
  const opened = opening(ink, Math.floor(longerSide(ink) / 2) | 1);
  ink = map(ink, (value, index) => value - opened.data[index]);
  const threshold = Math.floor(largest(ink) / 2);
  ink = levels(ink, threshold, drawn(map(ink, value => Number(value > threshold))));
  const fitted = fit(crop(ink), box);
  const brightest = largest(fitted);
  return centre(map(fitted, value => divide(value * 255, brightest)), size);
}

export function plane(height, width, data = new Int32Array(height * width)) {
  return { height, width, data };
}

function map({ height, width, data }, change) {
  const result = plane(height, width);
  for (let index = 0; index < data.length; index++) result.data[index] = change(data[index], index);
  return result;
}

function longerSide({ height, width }) {
  return Math.max(height, width);
}

function largest({ data }) {
  return data.reduce((maximum, value) => Math.max(maximum, value), 0);
}

/** The quotient, rounded to the nearest integer, halves up. */
export function divide(value, by) {
  return Math.floor((2 * value + by) / (2 * by));
}

/** The upper median of values from 0 to 255. */
function median(values) {
  const counts = new Int32Array(256);
  let left = values.length >> 1;
  for (const value of values) counts[value]++;
  for (let value = 0; ; value++) {
    if (left < counts[value]) return value;
    left -= counts[value];
  }
}

function shrink(grey) {
  const factor = Math.ceil(longerSide(grey) / LONGEST);
  const rows = Math.min(factor, grey.height);
  const columns = Math.min(factor, grey.width);
  const shrunk = side => Math.max(Math.floor(side / factor), 1);
  const result = plane(shrunk(grey.height), shrunk(grey.width));
  for (let top = 0, index = 0; top < result.height; top++)
    for (let left = 0; left < result.width; left++, index++) {
      let sum = 0;
      for (let row = top * factor; row < top * factor + rows; row++)
        for (let column = left * factor; column < left * factor + columns; column++)
          sum += grey.data[row * grey.width + column];
      result.data[index] = divide(sum, rows * columns);
    }
  return result;
}

function lightInk(grey) {
  const { height, width, data } = grey;
  const border = [...data.subarray(0, width), ...data.subarray((height - 1) * width)];
  for (let row = 1; row < height - 1; row++)
    border.push(data[row * width], data[(row + 1) * width - 1]);
  const background = median(border);
  const smallest = data.reduce((minimum, value) => Math.min(minimum, value), 255);
  const light = largest(grey) - background > background - smallest;
  return light ? grey : map(grey, value => 255 - value);
}

function opening(pixels, window) {
  return most(least(pixels, window), window);
}

/** For each pixel the maximum of the `window` x `window` square around it; values 0 to 255. */
function most(pixels, window) {
  return map(least(map(pixels, value => 255 - value), window), value => 255 - value);
}

/** For each pixel the minimum of the `window` x `window` square around it. */
function least(pixels, window) {
  return transpose(leastRows(transpose(leastRows(pixels, window)), window));
}

/**
 * For each pixel the minimum of the `window` rows around it, in about log2(window) steps. Rows
 * beyond the edge repeat the edge.
 */
function leastRows({ height, width, data }, window) {
  const half = window >> 1;
  const padded = new Int32Array((height + 2 * half) * width);
  for (let row = 0; row < height + 2 * half; row++) {
    const source = Math.min(Math.max(row - half, 0), height - 1) * width;
    padded.set(data.subarray(source, source + width), row * width);
  }
  let length = padded.length;
  for (let span = 1; span < window; ) {
    const step = Math.min(span, window - span);
    const offset = step * width;
    length -= offset;
    for (let index = 0; index < length; index++)
      padded[index] = Math.min(padded[index], padded[index + offset]);
    span += step;
  }
  return plane(height, width, padded.slice(0, length));
}

function transpose({ height, width, data }) {
  const result = plane(width, height);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      result.data[column * height + row] = data[row * width + column];
  return result;
}

/** The pixels set in `above` that have at least two of their eight neighbours set. */
function drawn(above) {
  const { height, width, data } = above;
  const at = (row, column) => {
    const outside = row < 0 || column < 0 || row >= height || column >= width;
    return outside ? 0 : data[row * width + column];
  };
  const result = map(above, (set, index) => {
    if (!set) return 0;
    const row = Math.floor(index / width);
    const column = index % width;
    let count = 0; // includes the pixel itself
    for (let down = -1; down <= 1; down++)
      for (let right = -1; right <= 1; right++) count += at(row + down, column + right);
    return Number(count >= 3);
  });
  if (!largest(result))
    throw new InputError(`the photo shows ${NOTHING}; take it closer, on even paper`);
  return result;
}

function levels(ink, threshold, drawn) {
  const noise = 2 * median(ink.data.filter(value => value <= threshold));
  const full = median(ink.data.filter((_, index) => drawn.data[index]));
  if (full - noise < LEAST_CONTRAST)
    throw new InputError(`the photo shows ${NOTHING}; take it with more light or a darker pen`);
  const reach = 2 * Math.max(Math.floor(longerSide(ink) / REACH), 1) + 1;
  const near = most(drawn, reach).data;
  return map(ink, (value, index) => {
    if (!near[index]) return 0;
    return Math.min(Math.max(divide((value - noise) * 255, full - noise), 0), 255);
  });
}

function crop({ height, width, data }) {
  let top = height, bottom = 0, left = width, right = 0;
  data.forEach((value, index) => {
    if (!value) return;
    const row = Math.floor(index / width);
    const column = index % width;
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    left = Math.min(left, column);
    right = Math.max(right, column);
  });
  const result = plane(bottom - top + 1, right - left + 1);
  for (let row = 0; row < result.height; row++) {
    const start = (top + row) * width + left;
    result.data.set(data.subarray(start, start + result.width), row * result.width);
  }
  return result;
}

function fit(ink, box) {
  const fitted = side => Math.max(divide(side * box, longerSide(ink)), 1);
  const rows = shareRows(ink, fitted(ink.height));
  const sums = transpose(shareRows(transpose(rows), fitted(ink.width)));
  return map(sums, sum => divide(sum, ink.height * ink.width));
}

/**
 * (old, W) -> (new, W): the sum of the old rows, weighted by their overlap with each new row, when
 * the side is divided into old * new parts.
 */
function shareRows({ height: old, width, data }, height) {
  const result = plane(height, width);
  for (let row = 0; row < height; row++)
    for (
      let source = Math.floor((row * old) / height);
      source < old && source * height < (row + 1) * old;
      source++
    ) {
      const end = Math.min((row + 1) * old, (source + 1) * height);
      const share = end - Math.max(row * old, source * height);
      for (let column = 0; column < width; column++)
        result.data[row * width + column] += share * data[source * width + column];
    }
  return result;
}

function centre(ink, size) {
  const result = plane(size, size);
  const top = corner(ink, size);
  const left = corner(transpose(ink), size);
  for (let row = 0; row < ink.height; row++) {
    const pixels = ink.data.subarray(row * ink.width, (row + 1) * ink.width);
    result.data.set(pixels, (top + row) * size + left);
  }
  return result;
}

/** The position of the first row that puts the centre of mass at size / 2. */
function corner({ height, width, data }, size) {
  let mass = 0, moment = 0;
  data.forEach((value, index) => {
    mass += value;
    moment += value * Math.floor(index / width);
  });
  return Math.min(Math.max(divide(size * mass - 2 * moment, 2 * mass), 0), size - height);
}

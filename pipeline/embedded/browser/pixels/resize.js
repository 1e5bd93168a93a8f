/**
 * The Lanczos filter as Pillow 13 computes it for 8 bits (`Resample.c`): weights with 22 fractional
 * bits, rounded to 8 bits between columns and rows. The result equals Pillow's to the pixel, and
 * Pillow prepared the training images.
 */

import { plane } from "./ink.js";

const SUPPORT = 3;
const ONE = 2 ** 22;

/** A plane, 0 to 255 -> a plane of `height` x `width`. */
export function resize(source, height, width) {
  const fewerRows = source.height - height;
  const fewerColumns = source.width - width;
  const rowsFirst = fewerRows > 0 && fewerRows > 2 * fewerColumns; // since Pillow 13
  return rowsFirst
    ? resizeColumns(resizeRows(source, height), width)
    : resizeRows(resizeColumns(source, width), height);
}

function resizeColumns(source, width) {
  if (width === source.width) return source;
  const result = plane(source.height, width, new Uint8Array(source.height * width));
  const windows = weigh(source.width, width);
  for (let row = 0, index = 0; row < source.height; row++)
    for (const { start, weights } of windows)
      result.data[index++] = sum(source.data, row * source.width + start, 1, weights);
  return result;
}

function resizeRows(source, height) {
  if (height === source.height) return source;
  const result = plane(height, source.width, new Uint8Array(height * source.width));
  weigh(source.height, height).forEach(({ start, weights }, row) => {
    for (let column = 0; column < source.width; column++) {
      const first = start * source.width + column;
      const value = sum(source.data, first, source.width, weights);
      result.data[row * source.width + column] = value;
    }
  });
  return result;
}

function sum(data, start, step, weights) {
  let total = ONE / 2;
  for (let index = 0; index < weights.length; index++)
    total += data[start + index * step] * weights[index];
  return Math.min(Math.max(Math.floor(total / ONE), 0), 255);
}

/** For each of `size` new pixels: the first of the `length` old ones it uses, and their weights. */
function weigh(length, size) {
  const scale = length / size;
  const stretch = Math.max(scale, 1);
  const reach = SUPPORT * stretch;
  return Array.from({ length: size }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), length);
    const weights = Array.from({ length: end - start }, (_, offset) =>
      lanczos((start + offset - centre + 0.5) * (1 / stretch)),
    );
    const total = weights.reduce((subtotal, weight) => subtotal + weight, 0);
    return { start, weights: weights.map(weight => fixed(weight / total)) };
  });
}

function fixed(weight) {
  return Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5));
}

function lanczos(x) {
  return x >= -SUPPORT && x < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

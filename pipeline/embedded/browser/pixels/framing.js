/**
 * Which part of a picture the model sees: `frame` of `serving/framing.py` in JavaScript, with the same
 * result to the pixel. Sides and edges are rounded to the nearest pixel, halves up. A window around the
 * middle begins at half the difference, rounded down.
 */

import { divide, plane } from "./ink.js";
import { resize } from "./resize.js";

export const FRAMINGS = ["resize", "letterbox", "centre_crop", "region"];
const PARTS = 10_000; // of a side, in which a region is measured

/** A plane -> one of `height` x `width`, by a name of FRAMINGS or by the fractions of a region. */
export function frame(source, height, width, framing) {
  const size = { height, width };
  if (framing === "resize") return resize(source, height, width);
  if (framing === "letterbox") {
    const inner = fitted(source, size);
    return middle(resize(source, inner.height, inner.width), size);
  }
  const part = framing === "centre_crop" ? middle(source, fitted(size, source)) : cut(source, framing);
  return resize(part, height, width);
}

/** The largest size within `size` that has the aspect ratio of `shape`. */
function fitted(shape, size) {
  const across = size.width * shape.height;
  const down = size.height * shape.width;
  return across < down
    ? { width: size.width, height: Math.max(divide(across, shape.width), 1) }
    : { width: Math.max(divide(down, shape.height), 1), height: size.height };
}

function middle(source, { height, width }) {
  const left = Math.floor((source.width - width) / 2);
  const top = Math.floor((source.height - height) / 2);
  return window(source, left, top, width, height);
}

/** The region of a plane: left, top, right and bottom are fractions of its sides. */
function cut(source, region) {
  const [left, top, right, bottom] = region.map((fraction, index) => {
    const side = index % 2 ? source.height : source.width;
    return divide(Math.floor(fraction * PARTS + 0.5) * side, PARTS);
  });
  const first = Math.min(left, source.width - 1);
  const upper = Math.min(top, source.height - 1);
  return window(source, first, upper, Math.max(right - first, 1), Math.max(bottom - upper, 1));
}

/** A part of a plane, black where it lies outside. */
function window(source, left, top, width, height) {
  const result = plane(height, width, new Uint8Array(height * width));
  for (let row = Math.max(-top, 0); row < Math.min(height, source.height - top); row++) {
    const start = (top + row) * source.width;
    const end = start + Math.min(left + width, source.width);
    const line = source.data.subarray(start + Math.max(left, 0), end);
    result.data.set(line, row * width + Math.max(-left, 0));
  }
  return result;
}

/**
 * Pictures of any size and kind -> the model's input, as the model card says: `serving/photo.py` in JavaScript.
 *
 * What the browser decodes is what Pillow decodes, to the pixel, for PNG. A JPEG may differ by a level or two, because
 * browsers are free in how they scale its colours up; and browsers bring 16 bits a channel to 8 in their own way.
 */

import { InputError, draw, plane } from "./ink.js";
import { resize } from "./resize.js";

const LARGEST_PIXELS = 64_000_000;
const STRIP_PIXELS = 4_000_000; // telephones refuse canvases of more than 16 megapixels

/** A picture's Blob or File -> (H * W * C) raw pixels for `card`. Throws InputError. */
export async function read(blob, card) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new InputError(`${blob.name ?? "this"} is no picture that this browser can read; choose a PNG or JPEG`);
  }
  try {
    if (bitmap.width * bitmap.height > LARGEST_PIXELS)
      throw new InputError(`the picture has ${bitmap.width} x ${bitmap.height} pixels; at most ${LARGEST_PIXELS / 1e6} million are allowed`);
    return toInput(bitmap, card);
  } finally {
    bitmap.close();
  }
}

/** An ImageBitmap or canvas -> (H * W * C) raw pixels, by the method that `card` names. Throws InputError. */
export function toInput(image, card) {
  const { method, box } = card.preprocessing, [height, width, channels] = card.input.shape;
  const planes = flatten(image, channels);
  if (method === "mnist") return Uint8Array.from(draw(planes[0], height, box).data);
  if (method !== "resize") throw new InputError(`the model card asks for preprocessing by '${method}', which this page does not know`);
  const resized = planes.map(each => resize(each, height, width));
  return Uint8Array.from({ length: height * width * channels }, (_, index) => resized[index % channels].data[Math.floor(index / channels)]);
}

/** One grey plane, or those of red, green and blue; transparency is laid on white. */
function flatten(image, channels) {
  const { width, height } = image, rows = Math.min(Math.max(Math.floor(STRIP_PIXELS / width), 1), height);
  const planes = Array.from({ length: channels }, () => plane(height, width, new Uint8Array(height * width)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  for (let top = 0; top < height; top += rows) {
    context.fillRect(0, 0, width, rows);
    context.drawImage(image, 0, -top);
    const pixels = context.getImageData(0, 0, width, Math.min(rows, height - top)).data;
    if (channels === 1) for (let from = 0, to = top * width; from < pixels.length; from += 4) planes[0].data[to++] = luminance(pixels, from);
    else planes.forEach(({ data }, channel) => { for (let from = channel, to = top * width; from < pixels.length; from += 4) data[to++] = pixels[from]; });
  }
  return planes;
}

/** ITU-R 601 in 16 fractional bits, as Pillow's `convert("L")`. */
function luminance(pixels, at) {
  return (19595 * pixels[at] + 38470 * pixels[at + 1] + 7471 * pixels[at + 2] + 0x8000) >> 16;
}

/**
 * Turns pictures of any size and kind into the model's input, as described in the model card.
 * This is `serving/photo.py` in JavaScript.
 *
 * For PNG with 8 bits per channel, browsers decode exactly the pixels that Pillow does. A JPEG may
 * differ by a level or two, because browsers choose how to upsample its colours. Browsers also have
 * their own ways of reducing 16 bits per channel to 8.
 */

import { FRAMINGS, frame } from "./framing.js";
import { InputError, draw, plane } from "./ink.js";

const LARGEST_PIXELS = 64_000_000;
const STRIP_PIXELS = 4_000_000; // phones refuse canvases of more than 16 megapixels

/** The Blob or File of a picture -> (H * W * C) raw pixels for `card`. Throws InputError. */
export async function read(blob, card) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    const name = blob.name ?? "this";
    throw new InputError(
      `${name} is not a picture that this browser can read; choose a PNG or JPEG`,
    );
  }
  try {
    if (bitmap.width * bitmap.height > LARGEST_PIXELS)
      throw new InputError(
        `the picture has ${bitmap.width} x ${bitmap.height} pixels; ` +
          `expected at most ${LARGEST_PIXELS / 1e6} million`,
      );
    return toInput(bitmap, card);
  } finally {
    bitmap.close();
  }
}

/**
 * An ImageBitmap or canvas -> (H * W * C) raw pixels for `card`. Throws InputError.
 * A drawing has the model's shape, so it is `framed` already, unlike a photo.
 */
export function toInput(image, card, framed = false) {
  const { method, box, region } = card.preprocessing;
  const [height, width, channels] = card.input.shape;
  const planes = flatten(image, channels);
  if (method === "mnist") return Uint8Array.from(draw(planes[0], height, box).data);
  if (!FRAMINGS.includes(method))
    throw new InputError(`the model card names preprocessing '${method}', unknown to this page`);
  const framing = framed ? "resize" : (region ?? method);
  const resized = planes.map(channel => frame(channel, height, width, framing));
  const pixels = new Uint8Array(height * width * channels);
  for (let index = 0; index < pixels.length; index++)
    pixels[index] = resized[index % channels].data[Math.floor(index / channels)];
  return pixels;
}

/** One grey plane, or one each for red, green and blue; transparent areas become white. */
function flatten(image, channels) {
  const { width, height } = image;
  const rows = Math.min(Math.max(Math.floor(STRIP_PIXELS / width), 1), height);
  const empty = () => plane(height, width, new Uint8Array(height * width));
  const planes = Array.from({ length: channels }, empty);
  const canvas = Object.assign(document.createElement("canvas"), { width, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  for (let top = 0; top < height; top += rows) {
    context.fillRect(0, 0, width, rows);
    context.drawImage(image, 0, -top);
    const pixels = context.getImageData(0, 0, width, Math.min(rows, height - top)).data;
    const start = top * width;
    planes.forEach(({ data }, channel) => {
      for (let from = 0, to = start; from < pixels.length; from += 4, to++)
        data[to] = channels === 1 ? luminance(pixels, from) : pixels[from + channel];
    });
  }
  return planes;
}

/** ITU-R 601 in 16 fractional bits, like Pillow's `convert("L")`. */
function luminance(pixels, at) {
  return (19595 * pixels[at] + 38470 * pixels[at + 1] + 7471 * pixels[at + 2] + 0x8000) >> 16;
}

/**
 * Opens a recording that the user chose. A WAV file as the model needs it is read as `serving` reads
 * it, to the bit. Any other is decoded and resampled by the browser, which does it in its own way.
 */

import { toSamples } from "./microphone.js";
import { InputError, blocks } from "./wav.js";

const LARGEST_BYTES = 64 * 2 ** 20; // that are decoded at once

/**
 * `first`, at most `count` samples; `all()`, all samples, `count` at a time; and whether the browser
 * converted them. Throws InputError.
 */
export async function open(file, rate, count) {
  const all = () => blocks(file, file.name, rate, count);
  try {
    return { first: (await all().next()).value, all, isConverted: false };
  } catch (error) {
    const samples = await decoded(file, rate).catch(() => null);
    if (!samples?.length) throw error;
    const parts = () => cut(samples, count);
    return { first: samples.subarray(0, count), all: parts, isConverted: true };
  }
}

async function decoded(file, rate) {
  if (file.size > LARGEST_BYTES)
    throw new InputError(`${file.name} is too large for a browser to convert; convert it before`);
  const context = new OfflineAudioContext(1, 1, rate);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, number) =>
    sound.getChannelData(number),
  );
  const mean = (_, index) => channels.reduce((sum, values) => sum + values[index], 0);
  return toSamples(channels[0].map(mean).map(sum => sum / channels.length));
}

function* cut(samples, count) {
  for (let start = 0; start < samples.length; start += count)
    yield samples.subarray(start, start + count);
}

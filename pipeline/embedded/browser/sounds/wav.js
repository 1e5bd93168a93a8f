/**
 * Reads WAV files as `serving/sound.py` does: one channel of 16-bit PCM at the rate of the model.
 * A file of any length takes the memory of a block, because a Blob is read in parts.
 */

export class InputError extends Error {}

const PCM = 1;
const EXTENSIBLE = 0xfffe; // which says further on what its samples are
const PCM_GUID = "0100000000001000800000aa00389b71";
const WIDTH = 2; // bytes of a sample

/** At most the first `count` samples of a Blob. Throws InputError. */
export async function beginning(blob, name, rate, count) {
  for await (const samples of blocks(blob, name, rate, count)) return samples;
}

/** Yields all samples of a Blob as Int16Arrays, `count` at a time. Throws InputError. */
export async function* blocks(blob, name, rate, count) {
  const expected = `expected a WAV file with one channel of 16-bit PCM at ${rate} Hz`;
  const { fault, format, data } = await header(blob);
  if (fault) throw new InputError(`${name} is not readable (${fault}); ${expected}`);
  const { channels, bits, rate: own } = format;
  if (channels !== 1 || bits !== 8 * WIDTH || own !== rate)
    throw new InputError(
      `${name} has ${channels} channel${channels === 1 ? "" : "s"} of ${bits} bits at ` +
        `${own} Hz; ${expected}`,
    );
  const bytes = data.size - (data.size % WIDTH);
  if (!bytes) throw new InputError(`${name} holds no samples; ${expected}`);
  for (let start = 0; start < bytes; start += WIDTH * count) {
    const part = data.slice(start, Math.min(start + WIDTH * count, bytes));
    yield fromBytes(await read(part));
  }
}

/** An ArrayBuffer of little-endian bytes as samples. */
export function fromBytes(buffer) {
  const view = new DataView(buffer);
  return Int16Array.from({ length: buffer.byteLength / WIDTH }, (_, index) =>
    view.getInt16(WIDTH * index, true),
  );
}

/** The format and the Blob of the samples, or what is wrong with the file. */
async function header(blob) {
  const riff = await view(blob, 0, 12);
  if (!riff || text(riff, 0) !== "RIFF" || text(riff, 8) !== "WAVE")
    return { fault: "it is no WAV file" };
  const file = blob.slice(0, 8 + riff.getUint32(4, true)); // what follows belongs to no chunk
  let format = null;
  for (let at = 12; ; ) {
    const chunk = await view(file, at, 8);
    if (!chunk) return { fault: "it is cut short" };
    const [name, size] = [text(chunk, 0), chunk.getUint32(4, true)];
    at += chunk.byteLength;
    if (name === "data") {
      if (!format) return { fault: "it does not say what its samples are" };
      return { format, data: file.slice(at, at + size) };
    }
    if (name === "fmt ") format = described(await view(file, at, Math.min(size, 40)));
    if (format?.fault) return format;
    at += size + (size % 2);
  }
}

function described(chunk) {
  if (!chunk || chunk.byteLength < 16) return { fault: "it is cut short" };
  const tag = chunk.getUint16(0, true);
  const isExtensible = tag === EXTENSIBLE && chunk.byteLength >= 40;
  if (tag !== PCM && !(isExtensible && hex(chunk, 24) === PCM_GUID))
    return { fault: "its samples are no PCM" };
  return {
    channels: chunk.getUint16(2, true),
    rate: chunk.getUint32(4, true),
    bits: 8 * Math.ceil(chunk.getUint16(14, true) / 8),
  };
}

/** The bytes of a Blob. Throws InputError, as for a file that has changed since it was chosen. */
async function read(blob) {
  return blob.arrayBuffer().catch(error => {
    throw new InputError(`the file cannot be read (${error.message}); choose it again`);
  });
}

/** A view on `count` bytes, or null if there are fewer. */
async function view(blob, at, count) {
  const buffer = await read(blob.slice(at, at + count));
  return buffer.byteLength === count ? new DataView(buffer) : null;
}

function text(chunk, at) {
  return String.fromCharCode(...new Uint8Array(chunk.buffer, at, 4));
}

function hex(chunk, at) {
  const bytes = [...new Uint8Array(chunk.buffer, at, 16)];
  return bytes.map(byte => byte.toString(16).padStart(2, "0")).join("");
}

// Sounds as pictures: the features that the network was trained on, equal to Python's to the bit.
// All numbers are integers below 2**53, which JavaScript's are exact for; shifts would cut them to
// 32 bits.

import tables from "./log_mel_tables.mjs";

function logarithm(energy) {
  if (energy === 0) return 0;
  let exponent = 0;
  while (2 ** (exponent + 1) <= energy) exponent++;
  const parts = 2 ** tables.mantissaBits;
  const part = Math.floor((energy / 2 ** exponent) * parts) - parts;
  return tables.steps * exponent + tables.logarithms[part];
}

function energyOfBin(windowed, bin) {
  let real = 0;
  let imaginary = 0;
  windowed.forEach((value, n) => {
    const turn = (bin * n) % windowed.length;
    real += value * tables.cosine[turn];
    imaginary += value * tables.sine[turn];
  });
  const [a, b] = [real, imaginary].map((sum) => Math.floor(Math.abs(sum) / 2 ** tables.shift));
  return a * a + b * b;
}

// The features of each frame of an Int16Array, one Uint8Array after the other.
export function features(samples) {
  const frames = [];
  let level = tables.quietest;
  for (let start = 0; start + tables.window.length <= samples.length; start += tables.hop) {
    const windowed = tables.window.map((weight, n) => weight * samples[start + n]);
    const energies = tables.weights[0].map(() => 0);
    tables.weights.forEach((weights, bin) => {
      const energy = energyOfBin(windowed, bin);
      weights.forEach((weight, band) => (energies[band] += energy * weight));
    });
    const logarithms = energies.map(logarithm);
    level = Math.max(level - tables.decay, tables.quietest, ...logarithms);
    const offset = tables.highest - level;
    frames.push(Uint8Array.from(logarithms, (value) => Math.max(value + offset, 0)));
  }
  return frames;
}

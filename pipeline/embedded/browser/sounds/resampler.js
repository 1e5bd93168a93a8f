/**
 * Changes the rate of a stream, for browsers that cannot do it with a microphone: a low-pass filter,
 * the sinc under a Hann window, evaluated where a sample is due.
 */

const CROSSINGS = 16; // of zero by the sinc, on each side
const PASSED = 0.92; // of the narrower band

export class Resampler {
  /** Rates are whole numbers of Hz. */
  constructor(from, to) {
    const divisor = common(from, to);
    this.step = from / divisor; // from one sample to the next, in phases
    this.phases = to / divisor; // of one sample of the stream
    const cutoff = PASSED * Math.min(1, to / from);
    this.half = Math.ceil(CROSSINGS / cutoff);
    this.filters = Array.from({ length: this.phases }, (_, phase) =>
      filter(phase / this.phases, cutoff, this.half),
    );
    this.waiting = new Float32Array(this.half); // silence before the stream
    this.place = this.half * this.phases; // of the next sample among those that wait, in phases
  }

  /** Samples of any number -> those that are due, about `half` samples later. */
  add(values) {
    const all = new Float32Array(this.waiting.length + values.length);
    all.set(this.waiting);
    all.set(values, this.waiting.length);
    const result = [];
    for (let at = this.whole; at + this.half < all.length; at = this.whole) {
      const weights = this.filters[this.place % this.phases];
      const first = at - this.half;
      result.push(weights.reduce((sum, weight, index) => sum + weight * all[first + index], 0));
      this.place += this.step;
    }
    const done = Math.min(this.whole - this.half, all.length);
    this.waiting = all.slice(done);
    this.place -= done * this.phases;
    return Float32Array.from(result);
  }

  /** The sample of the stream at or before the next one. */
  get whole() {
    return Math.floor(this.place / this.phases);
  }
}

/** The weights of the samples from `half` before to `half` after, for a place a part after one. */
function filter(part, cutoff, half) {
  return Float64Array.from({ length: 2 * half + 1 }, (_, index) => {
    const distance = index - half - part;
    const angle = Math.PI * cutoff * distance;
    const sinc = angle ? Math.sin(angle) / angle : 1;
    const hann = Math.max(Math.cos((Math.PI * distance) / (2 * half)), 0) ** 2;
    return cutoff * sinc * hann;
  });
}

function common(first, second) {
  return second ? common(second, first % second) : first;
}

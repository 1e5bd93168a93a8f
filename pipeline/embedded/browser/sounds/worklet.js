/** Runs in the browser's audio thread: collects samples, -1 to 1, and sends them to the page. */

const BLOCKS_A_SECOND = 20;

class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.restart();
  }

  restart() {
    this.block = new Float32Array(Math.round(sampleRate / BLOCKS_A_SECOND));
    this.filled = 0;
  }

  /** Of several channels the mean is taken. */
  process([channels]) {
    const length = channels[0]?.length ?? 0;
    for (let index = 0; index < length; index++) {
      let sum = 0;
      for (const channel of channels) sum += channel[index];
      this.block[this.filled++] = sum / channels.length;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block, [this.block.buffer]);
        this.restart();
      }
    }
    return true;
  }
}

registerProcessor("samples", Samples);

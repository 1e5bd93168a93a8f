/**
 * The microphone, as samples at the rate of the model.
 *
 *     const microphone = await Microphone.open(8000, samples => ..., () => ...);
 *     microphone.close();
 *
 * The browser resamples, or, where it cannot, as Firefox, `Resampler` does. Its filters for calls (echo, noise, gain) are switched off, because the
 * model was trained without them.
 */

import { Resampler } from "./resampler.js";

export class MicrophoneError extends Error {}

const RAW = {
  channelCount: 1,
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};
const LOUDEST = 2 ** 15;
const UNKNOWN = "this browser cannot start the microphone; use another one";
const REASONS = {
  NotAllowedError:
    "this browser does not let the page use the microphone; allow it beside the address of the page",
  NotFoundError: "there is no microphone; connect one",
  NotReadableError: "the microphone does not start; close other programs that use it",
};

export class Microphone {
  /**
   * Asks the user for the microphone. Calls `hear` with each Int16Array of samples, and `lost` if
   * the microphone is disconnected. Throws MicrophoneError.
   */
  static async open(rate, hear, lost) {
    if (!window.isSecureContext || !navigator.mediaDevices)
      throw new MicrophoneError(
        "browsers give the microphone only to a secure address; open this page with https:// or " +
          "at http://127.0.0.1",
      );
    if (!window.AudioWorkletNode)
      throw new MicrophoneError(
        "this browser has no AudioWorklet; use Chrome 66, Firefox 76, Safari 14.1 or a later version",
      );
    const microphone = new Microphone();
    try {
      await microphone.connect(rate, hear, lost);
    } catch (error) {
      microphone.close();
      throw new MicrophoneError(REASONS[error.name] ?? `${UNKNOWN} (${error.message})`);
    }
    return microphone;
  }

  async connect(rate, hear, lost) {
    this.media = await navigator.mediaDevices.getUserMedia({ audio: RAW });
    this.media.getAudioTracks()[0].addEventListener("ended", lost);
    try {
      await this.attach({ sampleRate: rate }, values => hear(toSamples(values)));
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      this.context?.close();
      let resampler = null;
      await this.attach({}, values => {
        resampler ??= new Resampler(this.context.sampleRate, rate);
        hear(toSamples(resampler.add(values)));
      });
    }
  }

  /** Passes what comes from the microphone, -1 to 1, to `take`. */
  async attach(options, take) {
    this.context = new AudioContext(options);
    await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.context, "samples", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => take(data);
    this.context.createMediaStreamSource(this.media).connect(node);
    await this.context.resume();
  }

  close() {
    this.media?.getTracks().forEach(track => track.stop());
    this.context?.close();
  }
}

/** -1 to 1 as 16-bit integers. */
export function toSamples(values) {
  return Int16Array.from(values, value =>
    Math.min(Math.max(Math.round(value * LOUDEST), -LOUDEST), LOUDEST - 1),
  );
}

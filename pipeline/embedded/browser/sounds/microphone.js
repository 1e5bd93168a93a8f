/**
 * The microphone, as samples at the rate of the model.
 *
 *     const microphone = await Microphone.open(8000, samples => ..., () => ...);
 *     microphone.close();
 *
 * The browser resamples. Its filters for calls (echo, noise, gain) are switched off, because the
 * model was trained without them.
 */

export class MicrophoneError extends Error {}

const RAW = {
  channelCount: 1,
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};
const LOUDEST = 2 ** 15;
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
      throw new MicrophoneError(REASONS[error.name] ?? unable(error, rate));
    }
    return microphone;
  }

  async connect(rate, hear, lost) {
    this.media = await navigator.mediaDevices.getUserMedia({ audio: RAW });
    this.context = new AudioContext({ sampleRate: rate });
    await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.context, "samples", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => hear(toSamples(data));
    this.media.getAudioTracks()[0].addEventListener("ended", lost);
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

function unable(error, rate) {
  return (
    `this browser cannot give the microphone at ${rate} Hz (${error.message}); ` +
    "use Chrome or Safari"
  );
}

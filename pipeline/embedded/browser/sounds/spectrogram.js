/** Draws features: time runs to the right, tones rise upwards, and what is loud is bright. */

// From silence to the loudest band: red, green, blue.
const COLOURS = [[13, 8, 32], [96, 24, 110], [222, 73, 80], [253, 190, 110], [252, 253, 220]];

/** Features (T * bands), 0 to 255, on `canvas`. */
export function paint(canvas, features, [frames, bands]) {
  const image = new ImageData(frames, bands);
  for (let frame = 0; frame < frames; frame++)
    for (let band = 0; band < bands; band++) {
      const at = 4 * ((bands - 1 - band) * frames + frame);
      image.data.set([...colour(features[frame * bands + band]), 255], at);
    }
  Object.assign(canvas, { width: frames, height: bands });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function colour(feature) {
  const place = (feature / 255) * (COLOURS.length - 1);
  const lower = Math.min(Math.floor(place), COLOURS.length - 2);
  const share = place - lower;
  return COLOURS[lower].map((value, part) => value + share * (COLOURS[lower + 1][part] - value));
}

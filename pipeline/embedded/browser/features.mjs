/**
 * The page's own front end for sounds in Node, which shares its engine V8 with Chromium.
 *
 *     node features.mjs FOLDER FRAMES BANDS < SAMPLES > FEATURES
 *
 * Reads 16-bit samples, little-endian, and writes the features of the beginning of the recording.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, frames, bands] = process.argv.slice(2);
const { Listener } = await import(pathToFileURL(`${folder}/listener.js`));
const { fromBytes } = await import(pathToFileURL(`${folder}/wav.js`));
const { instance } = await WebAssembly.instantiate(readFileSync(`${folder}/model.wasm`));
const card = { input: { shape: [Number(frames), Number(bands), 1] }, output: { shape: [0] } };
const listener = new Listener(card, null, instance);
const { buffer, byteOffset, byteLength } = readFileSync(0);
const samples = fromBytes(buffer.slice(byteOffset, byteOffset + byteLength));
writeFileSync(1, listener.features(samples));

// The network in the browser, by onnxruntime-web: `minisam export --demo` writes this file with the two ONNX files.

import { mountClick } from "./click.js";
import * as ort from "./onnxruntime-web/ort.wasm.min.mjs";

const LONGEST_SHOWN = 1280; // pixels of the longest side of a photo
const LONGEST_PREVIEWED = 512; // the same of the mask under the mouse
const MOST_EMBEDDINGS = 8;

ort.env.wasm.wasmPaths = new URL("onnxruntime-web/", import.meta.url).href;
// Several threads need a server that sends the headers of cross-origin isolation.
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;

const network = await (await fetch("network.json")).json();
const size = network.image_size;
let sessions = null; // of the encoder and the decoder
const embeddings = new Map(); // of the last photos, by id

function load() {
  sessions ??= Promise.all(["encoder.onnx", "decoder.onnx"].map((name) => ort.InferenceSession.create(name)));
  return sessions;
}

/** (height, width) with a longest side of `longest`, as minisam/predict/resize_longest_side.py has it. */
function resized(height, width, longest) {
  const scale = longest / Math.max(height, width);
  return [height, width].map((side) => Math.max(1, Math.floor(side * scale + 0.5)));
}

const atMost = (height, width, longest) =>
  Math.max(height, width) > longest ? resized(height, width, longest) : [height, width];

function canvasWith(image, height, width) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}

/** The network's input [1, 3, size, size]: scaled, normalised, and zeros below or at the right. */
function prepare(image, photo) {
  const [height, width] = resized(photo.height, photo.width, size);
  const { data } = canvasWith(image, height, width).getContext("2d").getImageData(0, 0, width, height);
  const input = new Float32Array(3 * size * size);
  for (let channel = 0; channel < 3; channel++) {
    const source = network.image_format === "BGR" ? 2 - channel : channel;
    const [mean, std] = [network.pixel_mean[channel], network.pixel_std[channel]];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        input[(channel * size + y) * size + x] = (data[4 * (y * width + x) + source] - mean) / std;
      }
    }
  }
  return new ort.Tensor("float32", input, [1, 3, size, size]);
}

async function embed(photo) {
  if (!embeddings.has(photo.id)) {
    const image = new Image();
    image.src = photo.url;
    await image.decode();
    const [encoder] = await load();
    const { image_embeddings: embedding } = await inTurn(() => encoder.run({ images: prepare(image, photo) }));
    embeddings.set(photo.id, embedding);
    if (embeddings.size > MOST_EMBEDDINGS) embeddings.delete(embeddings.keys().next().value);
  }
  return embeddings.get(photo.id);
}

/** The decoder's inputs; corners of boxes are points with labels 2 and 3, and without a box a padding point is last. */
function inputsOf(embedding, photo, { points, boxes }, longest) {
  const [height, width] = resized(photo.height, photo.width, size);
  const [sx, sy] = [width / photo.width, height / photo.height];
  const rows = points.map(([x, y, label]) => [x, y, label]);
  for (const [x0, y0, x1, y1] of boxes) rows.push([x0, y0, 2], [x1, y1, 3]);
  if (!boxes.length) rows.push([0, 0, -1]);
  const [mh, mw] = network.mask_size;
  const float = (values, shape) => new ort.Tensor("float32", Float32Array.from(values), shape);
  return {
    image_embeddings: embedding,
    point_coords: float(rows.flatMap(([x, y]) => [x * sx, y * sy]), [1, rows.length, 2]),
    point_labels: float(rows.map((row) => row[2]), [1, rows.length]),
    mask_input: new ort.Tensor("float32", new Float32Array(mh * mw), [1, 1, mh, mw]),
    has_mask_input: float([0], [1]),
    orig_im_size: float(atMost(photo.height, photo.width, longest), [2]),
  };
}

/** COCO's runs of one mask of the decoder's output [1, 4, H, W]. */
function runsOf({ data, dims: [, , height, width] }, index) {
  const start = index * height * width;
  const counts = [];
  let [length, inside] = [0, false];
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (data[start + y * width + x] > network.mask_threshold !== inside) {
        counts.push(length);
        [length, inside] = [0, !inside];
      }
      length++;
    }
  }
  counts.push(length);
  return { size: [height, width], counts };
}

// onnxruntime-web runs one session at a time.
let last = Promise.resolve();
function inTurn(work) {
  const turn = last.then(work);
  last = turn.catch(() => {});
  return turn;
}

const model = {
  photos: [network.example],
  encode: embed,
  async decode(photo, prompt, { best, signal }) {
    const embedding = await embed(photo);
    const [, decoder] = await load();
    const inputs = inputsOf(embedding, photo, prompt, best ? LONGEST_PREVIEWED : LONGEST_SHOWN);
    const answer = await inTurn(() => (signal.aborted ? null : decoder.run(inputs)));
    if (!answer) return null;
    // Mask 0 is for prompts without ambiguity; the other three are shown.
    const iou = [...answer.iou_predictions.data.slice(1)];
    const chosen = best ? [iou.indexOf(Math.max(...iou))] : iou.map((_, mask) => mask);
    return { masks: chosen.map((mask) => runsOf(answer.masks, mask + 1)), iou: chosen.map((mask) => iou[mask]) };
  },
  async add(file) {
    let image;
    try {
      image = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      throw new Error(`${file.name} is not an image that this browser can show.`);
    }
    const [height, width] = atMost(image.height, image.width, LONGEST_SHOWN);
    const blob = await new Promise((resolve) => canvasWith(image, height, width).toBlob(resolve));
    return { id: crypto.randomUUID(), name: file.name, width, height, url: URL.createObjectURL(blob) };
  },
};

mountClick(document.body, model).focus();

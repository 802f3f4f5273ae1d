// Click on a photo, see the mask: the one front end of `minisam click`, of the notebook and of the demo in the browser.
//
//     mountClick(element, model)
//
// The model is all that differs between the three:
//
//     model.photos                           [{id, name, width, height, url}]
//     model.encode(photo)                    a promise that is kept when the photo can be decoded
//     model.decode(photo, prompt, options)   a promise of {masks: [{size: [H, W], counts}], iou: [number]}, or of null
//     model.prompt                           the prompt of the first photo at the start; optional
//     model.add(file)                        a promise of a photo; without it no photo can be added
//     model.save(photo, prompt, index, kind) a promise of the name of the result; without it the browser downloads it
//     model.changed(state)                   called with {photo, prompt, masks, iou, index} after each change; optional
//
//     prompt   {points: [[x, y, label]], boxes: [[x0, y0, x1, y1]]} in pixels of the photo; label 1 adds, 0 removes
//     options  {best: only the mask with the highest predicted IoU, signal: an AbortSignal}
//     counts   COCO's runs: lengths of 0s and 1s in turn, 0s first, down the columns

const MASK_COLOUR = [30, 144, 255];
const DRAG_FROM = 5; // pixels of the screen; less is a click
const LONG_PRESS = 500; // milliseconds; on a touch screen it removes
const EMPTY = { points: [], boxes: [] };

// ---------------------------------------------------------------------------------------------------------- masks

/** A canvas of the mask's size, in one colour inside and transparent outside. */
function paint({ size: [height, width], counts }, [red, green, blue] = MASK_COLOUR) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const colour = new Uint32Array(new Uint8ClampedArray([red, green, blue, 255]).buffer)[0];
  let position = 0;
  counts.forEach((length, run) => {
    if (run % 2) {
      let column = Math.floor(position / height);
      let row = position - column * height;
      for (let n = 0; n < length; n++) {
        pixels[row * width + column] = colour;
        if (++row === height) (row = 0), column++;
      }
    }
    position += length;
  });
  const canvas = canvasOf(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const areaOf = ({ counts }) => counts.reduce((sum, length, run) => sum + (run % 2 ? length : 0), 0);

/** [x, y, width, height], with the last column and row. */
function boxOf({ size: [height], counts }) {
  let [left, right, top, bottom, position] = [Infinity, -1, Infinity, -1, 0];
  counts.forEach((length, run) => {
    if (run % 2 && length) {
      const [first, last] = [position, position + length - 1];
      const [start, end] = [Math.floor(first / height), Math.floor(last / height)];
      left = Math.min(left, start);
      right = Math.max(right, end);
      top = Math.min(top, start < end ? 0 : first % height);
      bottom = Math.max(bottom, start < end ? height - 1 : last % height);
    }
    position += length;
  });
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

/** COCO's compressed string: differences of every second run, in groups of five bits. */
function compress(counts) {
  let text = "";
  counts.forEach((count, run) => {
    let rest = run > 2 ? count - counts[run - 2] : count;
    for (let more = true; more; ) {
      const low = rest & 31;
      rest >>= 5;
      more = low & 16 ? rest !== -1 : rest !== 0;
      text += String.fromCharCode(low + (more ? 32 : 0) + 48);
    }
  });
  return text;
}

// ---------------------------------------------------------------------------------------------------------- files

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

const blobOf = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

const FILES = {
  mask: {
    ending: "mask.png",
    async make(photo, image, mask) {
      const canvas = canvasOf(mask.size[1], mask.size[0]);
      const context = canvas.getContext("2d");
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(paint(mask, [255, 255, 255]), 0, 0);
      return blobOf(canvas);
    },
  },
  cutout: {
    ending: "cutout.png",
    async make(photo, image, mask) {
      const [x, y, width, height] = boxOf(mask);
      const canvas = canvasOf(width, height);
      const context = canvas.getContext("2d");
      context.drawImage(paint(mask), -x, -y);
      context.globalCompositeOperation = "source-in";
      context.drawImage(image, -x, -y, mask.size[1], mask.size[0]);
      return blobOf(canvas);
    },
  },
  coco: {
    ending: "coco.json",
    async make(photo, image, mask, iou) {
      const [height, width] = mask.size;
      const annotation = {
        ...{ id: 1, image_id: 1, category_id: 1, iscrowd: 0, area: areaOf(mask), bbox: boxOf(mask) },
        segmentation: { size: mask.size, counts: compress(mask.counts) },
        predicted_iou: iou,
      };
      const content = {
        images: [{ id: 1, width, height, file_name: photo.name }],
        annotations: [annotation],
        categories: [{ id: 1, name: "object" }],
      };
      return new Blob([JSON.stringify(content)], { type: "application/json" });
    },
  },
};

async function download(photo, image, mask, iou, kind) {
  const { ending, make } = FILES[kind];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await make(photo, image, mask, iou));
  link.download = `${photo.name.replace(/\.[^.]*$/, "")}_${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return link.download;
}

// -------------------------------------------------------------------------------------------------------- history

/** Prompts, the last one shown; each change makes a new one. */
class History {
  past = [];
  future = [];

  constructor(prompt = EMPTY) {
    this.prompt = { points: prompt.points, boxes: prompt.boxes };
  }

  change(prompt) {
    this.past.push(this.prompt);
    this.prompt = prompt;
    this.future = [];
  }
  undo() {
    if (this.past.length) this.future.push(this.prompt), (this.prompt = this.past.pop());
  }
  redo() {
    if (this.future.length) this.past.push(this.prompt), (this.prompt = this.future.pop());
  }
  get isEmpty() {
    return !this.prompt.points.length && !this.prompt.boxes.length;
  }
}

// -------------------------------------------------------------------------------------------------------- drawing

/** The canvas with the photo, a mask and a prompt; pixels of the photo to those of the screen and back. */
class Stage {
  painted = null; // a mask's canvas, and
  mask = null; // the same at the size of the canvas shown
  opacity = 0.6;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
  }

  /** Called with the photo's image, and again when the room for it changes. */
  fit(image, photo, room) {
    this.image = image;
    this.photo = photo;
    this.scale = Math.min(room.width / photo.width, room.height / photo.height, 2);
    const [width, height] = [photo.width * this.scale, photo.height * this.scale].map((side) => Math.max(1, Math.floor(side)));
    const density = window.devicePixelRatio || 1;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    [this.canvas.width, this.canvas.height] = [Math.round(width * density), Math.round(height * density)];
    this.density = this.canvas.width / photo.width; // pixels of the canvas per pixel of the photo
    this.line = Math.max(1, density);
    this.photoAsShown = this.scaled(image);
    if (this.painted) this.showPainted();
  }

  /** An image or a mask at the canvas's size: scaling once is faster than for every drawing. */
  scaled(image) {
    const { width, height } = this.canvas;
    const result = canvasOf(width, height);
    const context = result.getContext("2d");
    context.imageSmoothingQuality = image === this.image ? "high" : "low";
    context.drawImage(image, 0, 0, width, height);
    return result;
  }

  toPhoto(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const clamp = (value, most) => Math.min(Math.max(value, 0), most - 0.01);
    return [
      clamp(((event.clientX - left) / width) * this.photo.width, this.photo.width),
      clamp(((event.clientY - top) / height) * this.photo.height, this.photo.height),
    ];
  }

  setMask(mask, isPreview = false) {
    this.painted = mask && paint(mask);
    this.isPreview = isPreview;
    this.showPainted();
  }

  showPainted() {
    this.mask = this.painted && this.scaled(this.painted);
    this.outline = this.mask && this.outlineOf(this.mask, "white", Math.round((this.isPreview ? 1 : 1.6) * this.line));
  }

  draw(prompt, { box = null, cursor = null } = {}) {
    const { context } = this;
    if (!this.image) return;
    context.drawImage(this.photoAsShown, 0, 0);
    if (this.mask) {
      context.globalAlpha = this.opacity * (this.isPreview ? 0.8 : 1);
      context.drawImage(this.mask, 0, 0);
      context.globalAlpha = this.isPreview ? 0.8 : 1;
      context.drawImage(this.outline, 0, 0);
      context.globalAlpha = 1;
    }
    for (const corners of prompt.boxes) this.drawBox(corners, []);
    if (box) this.drawBox(box, [6, 4]);
    for (const point of prompt.points) this.drawPoint(point);
    if (cursor) this.drawCursor(cursor);
  }

  /** A line around a mask, outside of it: the mask moved in all directions, minus the mask. */
  outlineOf(mask, colour, thickness) {
    const { width, height } = this.canvas;
    const line = canvasOf(width, height);
    const context = line.getContext("2d");
    for (const dx of [-thickness, 0, thickness]) {
      for (const dy of [-thickness, 0, thickness]) {
        if (!this.isPreview || (dx && dy)) context.drawImage(mask, dx, dy);
      }
    }
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(mask, 0, 0);
    return line;
  }

  drawBox(corners, dash) {
    const { context, density } = this;
    const [x0, y0, x1, y1] = corners.map((value) => value * density);
    for (const [colour, thickness] of [["rgb(0 0 0 / 55%)", 4], ["white", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness * this.line;
      context.setLineDash(dash.map((length) => length * this.line));
      context.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
    context.setLineDash([]);
  }

  /** A disc with a plus or a minus sign: colour alone would not do for everybody. */
  drawPoint([x, y, label]) {
    const { context, density, line } = this;
    const [cx, cy, radius, arm] = [x * density, y * density, 8 * line, 3.6 * line];
    context.beginPath();
    context.arc(cx, cy, radius, 0, 2 * Math.PI);
    context.fillStyle = label ? "#15803d" : "#b91c1c";
    context.shadowColor = "rgb(0 0 0 / 45%)";
    context.shadowBlur = 5 * line;
    context.fill();
    context.shadowBlur = 0;
    context.lineWidth = 2 * line;
    context.strokeStyle = "white";
    context.stroke();
    context.beginPath();
    context.moveTo(cx - arm, cy);
    context.lineTo(cx + arm, cy);
    if (label) context.moveTo(cx, cy - arm), context.lineTo(cx, cy + arm);
    context.stroke();
  }

  drawCursor([x, y]) {
    const { context, density, line } = this;
    for (const [colour, thickness] of [["black", 3], ["white", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness * line;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x * density + 4 * dx * line, y * density + 4 * dy * line);
        context.lineTo(x * density + 14 * dx * line, y * density + 14 * dy * line);
      }
      context.stroke();
    }
  }
}

// ----------------------------------------------------------------------------------------------------------- page

const TEMPLATE = `
  <header class="bar">
    <h1>mini<b>sam</b></h1>
    <p class="name"></p>
    <label class="open button">Open photos<input type="file" accept="image/*" multiple></label>
  </header>
  <nav class="photos" aria-label="Photos"></nav>
  <main class="work">
    <section class="stage" aria-label="Photo">
      <canvas tabindex="0" data-jp-suppress-context-menu role="application" aria-roledescription="photo to click on" aria-label="No photo"
        aria-describedby="minisam-keys"></canvas>
      <div class="drop"><strong>Drop a photo here</strong><span>or paste one, or choose “Open photos”.</span></div>
      <div class="busy" hidden><span></span></div>
    </section>
    <aside class="panel">
      <fieldset class="tools"><legend>A click or tap</legend>
        <label><input type="radio" name="tool" value="add" checked><span><i class="plus" aria-hidden="true">+</i>Add</span></label>
        <label><input type="radio" name="tool" value="remove"><span><i class="minus" aria-hidden="true">−</i>Remove</span></label>
        <label><input type="radio" name="tool" value="box"><span><i class="frame"></i>Box</span></label>
      </fieldset>
      <fieldset class="masks" disabled><legend>Masks, by predicted IoU</legend>
        <div class="cards"></div>
        <button type="button" data-do="next" title="N">Next mask</button>
      </fieldset>
      <label class="opacity"><span>Opacity</span><input type="range" min="0" max="100" value="60"><output>60 %</output></label>
      <div class="row edit">
        <button type="button" data-do="undo" title="Ctrl Z">Undo</button>
        <button type="button" data-do="redo" title="Ctrl Shift Z">Redo</button>
        <button type="button" data-do="clear" title="Delete">Clear</button>
      </div>
      <fieldset class="row save" disabled><legend>Save</legend>
        <button type="button" data-save="mask" title="S" aria-label="Save the mask as PNG">Mask</button>
        <button type="button" data-save="coco" title="J" aria-label="Save as COCO JSON">COCO</button>
        <button type="button" data-save="cutout" title="C" aria-label="Save the cut-out with alpha as PNG">Cut-out</button>
      </fieldset>
      <details><summary>Mouse, touch and keys</summary><dl id="minisam-keys">
        <dt>Click</dt><dd>adds to the object</dd>
        <dt>Right click</dt><dd>removes from it; so does a long press</dd>
        <dt>Drag</dt><dd>a box; with Shift another one</dd>
        <dt>Arrows</dt><dd>move a cursor; with Shift finely</dd>
        <dt>Enter, X, B</dt><dd>add, remove, start a box there</dd>
        <dt>N</dt><dd>next mask</dd>
        <dt>Ctrl Z, Ctrl Y</dt><dd>undo, redo</dd>
        <dt>Delete</dt><dd>clear</dd>
        <dt>[ and ]</dt><dd>opacity</dd>
        <dt>S, J, C</dt><dd>save mask, COCO, cut-out</dd>
        <dt>Page Up, Down</dt><dd>another photo</dd>
      </dl></details>
    </aside>
  </main>
  <p class="status" role="status" aria-live="polite"></p>
`;

class Page {
  histories = new Map();
  result = null;
  index = 0;
  cursor = null; // of the keyboard, in pixels of the photo
  corner = null; // where a box of the keyboard starts
  drag = null;
  request = new AbortController();

  constructor(root, model) {
    this.root = root;
    this.model = model;
    this.photos = [...model.photos];
    if (model.prompt) this.histories.set(this.photos[0].id, new History({ ...EMPTY, ...model.prompt }));
    root.classList.add("minisam-click");
    root.innerHTML = TEMPLATE;
    root.dataset.lmSuppressShortcuts = "true"; // of JupyterLab
    // Two widgets on one page must not share a group of radio buttons.
    const group = `tool-${Math.random()}`;
    for (const radio of this.all("[name=tool]")) radio.name = group;
    this.canvas = this.one("canvas");
    this.stage = new Stage(this.canvas);
    this.one(".open").hidden = !model.add;
    this.one(".drop span").hidden = !model.add;
    this.one("details").open = root.clientWidth > 760;
    this.listen();
    this.listPhotos();
    this.update();
    if (this.photos.length) this.open(this.photos[0]);
    else this.say(model.add ? "Open a photo to begin." : "There is no photo.");
  }

  one = (selector) => this.root.querySelector(selector);
  all = (selector) => this.root.querySelectorAll(selector);
  focus = () => ((this.takesFocus = true), this.canvas.focus({ preventScroll: true }));
  say = (text) => (this.one(".status").textContent = text);

  get history() {
    if (!this.histories.has(this.photo?.id)) this.histories.set(this.photo?.id, new History());
    return this.histories.get(this.photo?.id);
  }

  // Photos

  listPhotos() {
    const list = this.one(".photos");
    list.hidden = this.photos.length < 2;
    list.replaceChildren(
      ...this.photos.map((photo) => {
        const button = document.createElement("button");
        button.type = "button";
        button.title = photo.name;
        button.setAttribute("aria-label", `Photo ${photo.name}`);
        button.setAttribute("aria-pressed", photo === this.photo);
        const image = document.createElement("img");
        [image.src, image.alt, image.loading] = [photo.url, "", "lazy"];
        button.append(image);
        button.onclick = () => this.open(photo);
        return button;
      }),
    );
  }

  async open(photo) {
    this.forget();
    this.photo = photo;
    this.isReady = false;
    this.cursor = this.corner = null;
    this.one(".name").textContent = photo.name;
    this.canvas.setAttribute("aria-label", photo.name);
    this.listPhotos();
    this.setBusy(true);
    this.say(`Reading ${photo.name} …`);
    try {
      const image = new Image();
      image.src = photo.url;
      await image.decode();
      if (photo !== this.photo) return;
      this.image = image;
      this.fit();
      await this.model.encode(photo);
      if (photo !== this.photo) return;
      this.isReady = true;
      this.update();
      if (this.takesFocus && document.activeElement === document.body) this.focus();
      this.say(`${photo.name}: point at an object, and click.`);
      if (!this.history.isEmpty) await this.predict();
    } catch (error) {
      if (photo === this.photo) this.say(error.message || `${photo.name} cannot be shown.`);
    } finally {
      if (photo === this.photo) this.setBusy(false), this.update();
    }
  }

  /** The first of the photos is opened; the status names those that could not be read. */
  async add(files) {
    const before = this.photos.length;
    const faults = [];
    for (const file of files) {
      this.say(`Reading ${file.name} …`);
      try {
        this.photos.push(await this.model.add(file));
      } catch (error) {
        faults.push(error.message);
      }
    }
    this.listPhotos();
    if (this.photos.length > before) await this.open(this.photos[before]);
    if (faults.length) this.say(faults.join("; "));
  }

  step(by) {
    const place = this.photos.indexOf(this.photo) + by;
    if (this.photos[place]) this.open(this.photos[place]);
  }

  fit() {
    if (!this.image) return;
    const { clientWidth: width, clientHeight: height } = this.one(".stage");
    this.stage.fit(this.image, this.photo, { width, height });
    this.draw();
  }

  // Prompts and masks

  change(prompt) {
    if (!this.isReady) return;
    this.history.change(prompt);
    this.predict();
  }

  addPoint([x, y], label) {
    const { points, boxes } = this.history.prompt;
    this.change({ points: [...points, [x, y, label]], boxes });
  }

  addBox([ax, ay], [bx, by], another) {
    const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
    if (box[2] - box[0] < 1 || box[3] - box[1] < 1) return this.say("A box needs an area.");
    const { points, boxes } = this.history.prompt;
    this.change({ points, boxes: another ? [...boxes, box] : [box] });
  }

  /** Drop what is on its way: the answer would be for an older prompt. */
  forget() {
    this.request.abort();
    this.request = new AbortController();
    this.wanted = this.result = null;
    this.stage.setMask(null);
  }

  async predict() {
    this.request.abort();
    const request = (this.request = new AbortController());
    this.wanted = null;
    const [photo, { prompt }] = [this.photo, this.history];
    if (this.history.isEmpty) {
      this.forget();
      this.say("Cleared.");
    } else {
      try {
        const result = await this.model.decode(photo, prompt, { best: false, signal: request.signal });
        if (request.signal.aborted || !result) return;
        this.result = result;
        this.ranked = result.iou.map((_, mask) => mask).sort((a, b) => result.iou[b] - result.iou[a]);
        this.showMask(this.ranked[0]);
      } catch (error) {
        if (request.signal.aborted) return;
        this.say(error.message);
      }
    }
    this.update();
    this.report();
  }

  showMask(index) {
    this.index = index;
    this.stage.setMask(this.result.masks[index]);
    this.sayMask();
    this.update();
  }

  sayMask() {
    const mask = this.result.masks[this.index];
    const share = (100 * areaOf(mask)) / (mask.size[0] * mask.size[1]);
    const rank = this.ranked.indexOf(this.index) + 1;
    const iou = this.result.iou[this.index].toFixed(2);
    this.say(`Mask ${rank} of ${this.ranked.length}: predicted IoU ${iou}, ${share.toFixed(1)} % of the photo.`);
  }

  next() {
    if (!this.result) return;
    const place = this.ranked.indexOf(this.index);
    this.showMask(this.ranked[(place + 1) % this.ranked.length]);
    this.report();
  }

  report() {
    const { photo, result, index } = this;
    this.model.changed?.({ photo, prompt: this.history.prompt, masks: result?.masks ?? [], iou: result?.iou ?? [], index });
  }

  /** The mask under a point, while there is no prompt: one request at a time, and then the newest point. */
  async hover(point) {
    if (!this.isReady || !this.history.isEmpty) return;
    this.wanted = { point, since: performance.now() };
    if (this.isHovering) return;
    this.isHovering = true;
    while (this.wanted) {
      const { photo, request, wanted } = this;
      this.wanted = null;
      try {
        const prompt = { points: [[...wanted.point, 1]], boxes: [] };
        const result = await this.model.decode(photo, prompt, { best: true, signal: request.signal });
        if (!result || request.signal.aborted || this.drag?.isBox || !this.history.isEmpty || !this.isInside) continue;
        this.stage.setMask(result.masks[0], true);
        this.draw();
        const milliseconds = performance.now() - wanted.since;
        const detail = { milliseconds, iou: result.iou[0], area: areaOf(result.masks[0]) };
        this.root.dispatchEvent(new CustomEvent("minisam-hover", { detail }));
      } catch (error) {
        if (!request.signal.aborted) this.say(error.message);
      }
    }
    this.isHovering = false;
  }

  leave() {
    this.isInside = false;
    this.wanted = null;
    if (this.history.isEmpty) this.stage.setMask(null), this.draw();
  }

  async save(kind) {
    if (!this.result) return;
    const { photo, image, index, result } = this;
    try {
      const saved = this.model.save
        ? await this.model.save(photo, this.history.prompt, index, kind)
        : await download(photo, image, result.masks[index], result.iou[index], kind);
      this.say(`Saved ${saved}.`);
    } catch (error) {
      this.say(error.message);
    }
  }

  // Drawing and controls

  draw() {
    const box = this.drag?.isBox ? [...this.drag.from, ...this.drag.to] : this.corner && [...this.corner, ...this.cursor];
    this.stage.draw(this.history.prompt, { box, cursor: this.cursor });
  }

  setBusy(isBusy) {
    this.one(".busy").hidden = !isBusy;
    this.root.setAttribute("aria-busy", isBusy);
  }

  /** Everything that follows from the state, apart from what is said. */
  update() {
    const { past, future, isEmpty } = this.history;
    this.one(".drop").hidden = Boolean(this.photo);
    this.canvas.hidden = !this.photo;
    this.one("[data-do=undo]").disabled = !past.length;
    this.one("[data-do=redo]").disabled = !future.length;
    this.one("[data-do=clear]").disabled = isEmpty;
    this.one(".masks").disabled = this.one(".save").disabled = !this.result;
    this.updateCards();
    if (this.image) this.draw();
  }

  updateCards() {
    const cards = this.one(".cards");
    const focused = [...cards.children].indexOf(document.activeElement);
    cards.replaceChildren(...[0, 1, 2].slice(0, this.result?.masks.length ?? 3).map((rank) => this.card(rank)));
    if (focused >= 0) cards.children[focused]?.focus();
  }

  card(rank) {
    const button = document.createElement("button");
    button.type = "button";
    const canvas = canvasOf(160, 120);
    const text = document.createElement("span");
    button.append(canvas, text);
    text.textContent = "–";
    if (!this.result) return button;
    const mask = this.ranked[rank];
    const iou = this.result.iou[mask].toFixed(2);
    text.textContent = iou;
    button.setAttribute("aria-label", `Mask ${rank + 1}, predicted IoU ${iou}`);
    button.setAttribute("aria-pressed", mask === this.index);
    button.onclick = () => (this.showMask(mask), this.report());
    const context = canvas.getContext("2d");
    const scale = Math.min(160 / this.photo.width, 120 / this.photo.height);
    const [width, height] = [this.photo.width * scale, this.photo.height * scale];
    const place = [(160 - width) / 2, (120 - height) / 2, width, height];
    context.globalAlpha = 0.35;
    context.drawImage(this.image, ...place);
    context.globalAlpha = 0.9;
    context.drawImage(paint(this.result.masks[mask]), ...place);
    return button;
  }

  setOpacity(percent) {
    const value = Math.min(100, Math.max(0, percent));
    const slider = this.one(".opacity input");
    slider.value = value;
    this.one(".opacity output").textContent = `${value} %`;
    this.stage.opacity = value / 100;
    this.draw();
  }

  // Events

  listen() {
    const { canvas, root } = this;
    canvas.addEventListener("pointerdown", (event) => this.pointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.pointerMove(event));
    canvas.addEventListener("pointerup", (event) => this.pointerUp(event));
    canvas.addEventListener("pointercancel", () => this.endDrag());
    canvas.addEventListener("pointerleave", () => this.leave());
    // A notebook would open a menu of its own.
    canvas.addEventListener("contextmenu", (event) => (event.preventDefault(), event.stopPropagation()));
    canvas.addEventListener("blur", () => ((this.cursor = this.corner = null), this.leave()));
    root.addEventListener("keydown", (event) => this.keyDown(event));
    root.addEventListener("pointerdown", () => root.classList.remove("by-keys"));
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-do], [data-save]");
      if (button?.dataset.do) this.actions[button.dataset.do]();
      if (button?.dataset.save) this.save(button.dataset.save);
    });
    this.one(".opacity input").addEventListener("input", (event) => this.setOpacity(Number(event.target.value)));
    this.one(".open input").addEventListener("change", (event) => {
      this.add([...event.target.files]);
      event.target.value = "";
    });
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.one(".stage"));
    if (!this.model.add) return;
    root.addEventListener("dragover", (event) => (event.preventDefault(), root.classList.add("over")));
    root.addEventListener("dragleave", (event) => event.relatedTarget || root.classList.remove("over"));
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      root.classList.remove("over");
      this.add([...event.dataTransfer.files]);
    });
    root.addEventListener("paste", (event) => this.add([...event.clipboardData.files]));
  }

  get tool() {
    return this.one(".tools input:checked").value;
  }

  pointerDown(event) {
    if (event.button > 2 || event.button === 1 || !this.isReady || this.drag) return;
    event.preventDefault();
    this.focus();
    this.cursor = this.corner = null;
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.stage.toPhoto(event);
    const removes = event.button === 2 || (event.ctrlKey && event.button === 0) || this.tool === "remove";
    const screen = [event.clientX, event.clientY];
    this.drag = { from: at, to: at, screen, removes, another: event.shiftKey, isBox: false };
    if (event.pointerType !== "mouse") {
      this.drag.timer = setTimeout(() => {
        if (!this.drag || this.drag.isBox) return;
        this.endDrag();
        this.addPoint(at, 0);
      }, LONG_PRESS);
    }
  }

  pointerMove(event) {
    this.isInside = true;
    if (!this.isReady) return;
    const at = this.stage.toPhoto(event);
    if (!this.drag) return void (event.pointerType === "mouse" && this.hover(at));
    const { screen } = this.drag;
    this.drag.isBox ||= Math.hypot(event.clientX - screen[0], event.clientY - screen[1]) >= DRAG_FROM;
    this.drag.to = at;
    if (this.drag.isBox) {
      clearTimeout(this.drag.timer);
      if (this.history.isEmpty) this.stage.setMask(null);
      this.draw();
    }
  }

  pointerUp(event) {
    const { drag } = this;
    if (!drag) return;
    this.endDrag();
    if (drag.isBox) this.addBox(drag.from, this.stage.toPhoto(event), drag.another);
    else if (this.tool === "box" && !drag.removes) this.say("Drag from one corner of the box to the other.");
    else this.addPoint(drag.from, drag.removes ? 0 : 1);
  }

  endDrag() {
    clearTimeout(this.drag?.timer);
    this.drag = null;
    this.draw();
  }

  actions = {
    undo: () => (this.history.undo(), this.predict()),
    redo: () => (this.history.redo(), this.predict()),
    clear: () => this.history.isEmpty || this.change(EMPTY),
    next: () => this.next(),
  };

  keyDown(event) {
    this.root.classList.add("by-keys");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const command = event.ctrlKey || event.metaKey;
    const does = command
      ? { z: event.shiftKey ? this.actions.redo : this.actions.undo, y: this.actions.redo }[key]
      : event.altKey
        ? undefined
        : (event.target === this.canvas && this.canvasKeys(event)[key]) || this.keys[key];
    if (!does || (event.target.type === "range" && key.startsWith("Arrow"))) return;
    event.preventDefault();
    event.stopPropagation();
    if (this.photo) does();
  }

  keys = {
    n: this.actions.next,
    Delete: this.actions.clear,
    Backspace: this.actions.undo,
    "[": () => this.setOpacity(Math.round(100 * this.stage.opacity) - 10),
    "]": () => this.setOpacity(Math.round(100 * this.stage.opacity) + 10),
    s: () => this.save("mask"),
    j: () => this.save("coco"),
    c: () => this.save("cutout"),
    PageDown: () => this.step(1),
    PageUp: () => this.step(-1),
  };

  canvasKeys(event) {
    const by = (event.shiftKey ? 1 : 12) / (this.stage.scale || 1);
    const at = (action) => () => (this.cursor ? action() : this.moveCursor(0, 0));
    return {
      ArrowLeft: () => this.moveCursor(-by, 0),
      ArrowRight: () => this.moveCursor(by, 0),
      ArrowUp: () => this.moveCursor(0, -by),
      ArrowDown: () => this.moveCursor(0, by),
      Enter: at(() => (this.corner ? this.closeBox(event) : this.addPoint(this.cursor, event.shiftKey ? 0 : 1))),
      " ": at(() => this.addPoint(this.cursor, 1)),
      x: at(() => this.addPoint(this.cursor, 0)),
      b: at(() => (this.corner ? this.closeBox(event) : ((this.corner = this.cursor), this.say("Box: move to the other corner, then B.")))),
      Escape: () => ((this.cursor = this.corner = null), this.endDrag()),
    };
  }

  closeBox(event) {
    const { corner } = this;
    this.corner = null;
    this.addBox(corner, this.cursor, event.shiftKey);
  }

  moveCursor(dx, dy) {
    if (!this.isReady) return;
    const { width, height } = this.photo;
    const [x, y] = this.cursor ?? [width / 2, height / 2];
    this.cursor = [Math.min(Math.max(x + dx, 0), width - 0.01), Math.min(Math.max(y + dy, 0), height - 0.01)];
    this.isInside = true;
    this.draw();
    this.hover(this.cursor);
  }

  destroy() {
    this.forget();
    this.observer.disconnect();
    this.root.replaceChildren();
  }
}

/** Put the page into an element.  `destroy()` of the result removes it. */
export function mountClick(element, model) {
  return new Page(element, model);
}

// Clips as sprite sheets on a canvas, and the row of controls that moves through their frames.

fe.bytesOf = (text) => {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return bytes;
};

// A clip whose sheets are decoded when first needed, the current one first. `onready` is called after each decode.
fe.clip = (data, onready) => {
  const sheets = data.sheets.map((sheet) => ({ ...sheet, bitmap: null, waiting: null }));
  const [width, height] = data.cell;
  let open = true;
  const load = (sheet) => {
    sheet.waiting ??= createImageBitmap(new Blob([fe.bytesOf(sheet.data)], { type: "image/webp" }),
      { colorSpaceConversion: "none", premultiplyAlpha: "none" }).then((bitmap) => {
      if (!open) return bitmap.close();
      sheet.bitmap = bitmap;
      onready();
    });
    return sheet.waiting;
  };
  const sheetOf = (index) => sheets.findLast((sheet) => sheet.start <= index);
  const all = async (index) => {
    await load(sheetOf(index));
    for (const sheet of sheets) if (open) await load(sheet);
  };
  return {
    name: data.name, width, height, frames: data.frames, all,
    // Fill a 2D context's canvas with a frame, also where the canvas was made for a larger copy; false while it is decoded.
    // `view` is {x, y, scale}: the top left corner as a share of the frame, and the magnification.
    draw(target, index, view = { x: 0, y: 0, scale: 1 }) {
      const sheet = sheetOf(index);
      if (!sheet.bitmap) {
        load(sheet);
        return false;
      }
      const cell = index - sheet.start;
      const left = (cell % sheet.columns) * width;
      const top = Math.floor(cell / sheet.columns) * height;
      target.imageSmoothingEnabled = view.scale > 1 && view.scale < 3;
      target.drawImage(sheet.bitmap, left + view.x * width, top + view.y * height, width / view.scale, height / view.scale,
        0, 0, target.canvas.width, target.canvas.height);
      return true;
    },
    close() {
      open = false;
      sheets.forEach((sheet) => sheet.bitmap?.close());
    },
  };
};

fe.canvas = (clip, label) => {
  const canvas = fe.el("canvas", { class: "fe-canvas", width: clip.width, height: clip.height, role: "img", "aria-label": label });
  return { canvas, pen: canvas.getContext("2d", { alpha: false }) };
};

// Moves a frame counter in time: one requestAnimationFrame loop that ends with the view.
fe.ticker = (ctx, { interval, step, onchange }) => {
  let request = 0;
  let last = 0;
  const stop = () => {
    if (!request) return;
    cancelAnimationFrame(request);
    request = 0;
    onchange(false);
  };
  const tick = (now) => {
    if (!ctx.root.isConnected) return stop();
    request = requestAnimationFrame(tick);
    const due = Math.floor((now - last) / interval());
    if (due < 1) return;
    last += due * interval();
    if (step(due) === false) stop();
  };
  const start = () => {
    if (request) return;
    last = performance.now();
    request = requestAnimationFrame(tick);
    onchange(true);
  };
  ctx.cleanup(stop);
  return { start, stop, toggle: () => (request ? stop() : start()), get running() { return request !== 0; } };
};

// Keyframe marks and latent slots drawn under the slider, each frame at its own place.
fe.track = (count, marks) => {
  const place = (frame) => (count > 1 ? (100 * fe.clamp(frame, 0, count - 1)) / (count - 1) : 0);
  const slots = fe.el("div", { class: "fe-slots" });
  for (let slot = 0; count > 1 && slot <= fe.slotOf(count - 1); slot += 1) {
    const from = place(slot === 0 ? 0 : 4 * slot - 3.5);
    const to = place(4 * slot + 0.5);
    slots.append(fe.el("i", { "data-odd": slot % 2 === 1, style: `left:${from}%;width:${to - from}%` }));
  }
  const box = fe.el("div", { class: "fe-track", "aria-hidden": "true" }, slots,
    marks.map((mark) => fe.el("i", { class: "fe-mark", style: `left:${place(mark)}%` })));
  return { box, show: (index) => [...slots.children].forEach((node, slot) => node.toggleAttribute("data-on", slot === fe.slotOf(index))) };
};

// Buttons, slider and keys that step and play through the trait `trait`, from 0 to `last()`.
fe.stepper = (ctx, { trait, last, interval, label, noun, loop = false, page = 5 }) => {
  const at = () => fe.clamp(Math.round(ctx.get(trait) ?? 0), 0, last());
  const go = (to) => { ticker.stop(); ctx.set({ [trait]: fe.clamp(to, 0, last()) }); };
  const step = (by) => go(at() + by);
  const play = fe.button("Play", () => toggle(), { icon: "play", class: "fe-button fe-primary" });
  const ticker = fe.ticker(ctx, {
    interval,
    step: (due) => {
      ctx.set({ [trait]: loop ? (at() + due) % (last() + 1) : Math.min(at() + due, last()) });
      return last() > 0 && (loop || at() < last());
    },
    onchange: (running) => {
      fe.setIcon(play, running ? "pause" : "play", running ? "Pause" : "Play");
      if (!running) ctx.flush();
    },
  });
  const toggle = () => {
    if (!ticker.running && !loop && at() === last()) ctx.set({ [trait]: 0 });
    ticker.toggle();
  };
  const slider = fe.el("input", { type: "range", class: "fe-range", min: 0, step: 1, "aria-label": label,
    oninput: (event) => go(Number(event.target.value)) });
  const keys = { ...fe.moves(step, page), " ": toggle };
  fe.onKeys(slider, keys);
  return {
    at, go, step, keys, slider, stop: ticker.stop,
    buttons: [fe.button(`Previous ${noun}`, () => step(-1), { icon: "previous" }), play, fe.button(`Next ${noun}`, () => step(1), { icon: "next" })],
    show(words) {
      slider.max = last();
      slider.value = at();
      slider.disabled = last() < 1;
      slider.setAttribute("aria-valuetext", words);
    },
  };
};

// The transport of clips: a stepper with speed and keyframe jumps. It reads and writes the trait `index`.
fe.transport = (ctx, { count, fps, marks = [] }) => {
  const last = count - 1;
  let speed = 1;
  const stepper = fe.stepper(ctx, { trait: "index", last: () => last, interval: () => 1000 / (fps * speed), label: "Frame", noun: "frame",
    loop: true, page: 4 });
  const { at, go, slider } = stepper;
  const jump = (direction) => {
    const ahead = marks.filter((mark) => (direction > 0 ? mark > at() : mark < at()));
    if (ahead.length) go(direction > 0 ? Math.min(...ahead) : Math.max(...ahead));
  };
  const track = fe.track(count, marks);
  const readout = fe.el("output", { class: "fe-readout" });
  const show = () => {
    const frame = at();
    const words = [`frame ${frame} of ${last}`, `latent slot ${fe.slotOf(frame)}`, `${(frame / fps).toFixed(2)} s`,
      marks.includes(frame) ? "keyframe" : null].filter(Boolean);
    stepper.show(words.join(", "));
    readout.replaceChildren(...words.map((text) => fe.el("span", { "data-key": text === "keyframe" }, text)));
    track.show(frame);
    ctx.root.dataset.frame = frame;
  };
  const jumps = { "[": () => jump(-1), "]": () => jump(1) };
  fe.onKeys(slider, jumps);
  const rate = fe.select("Speed", [0.25, 0.5, 1, 2].map((value) => [value, `${value}×`]), speed, (value) => { speed = Number(value); });
  const node = fe.el("div", { class: "fe-transport" },
    fe.el("div", { class: "fe-buttons" }, stepper.buttons, marks.length ? [fe.button("Previous keyframe", () => jump(-1), { icon: "keyBack" }),
      fe.button("Next keyframe", () => jump(1), { icon: "keyNext" })] : null),
    fe.el("div", { class: "fe-line" }, slider, track.box),
    fe.el("div", { class: "fe-readrow" }, readout, rate));
  ctx.on("index", show);
  show();
  return { node, index: at, keys: { ...stepper.keys, ...jumps } };
};

// Clips as sprite sheets on a canvas, and the row of controls that moves through their frames.

fe.bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

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
    draw(target, index) {
      const sheet = sheetOf(index);
      if (!sheet.bitmap) {
        load(sheet);
        return false;
      }
      target.imageSmoothingEnabled = false;
      target.drawImage(sheet.bitmap, 0, (index - sheet.start) * height, width, height, 0, 0, target.canvas.width, target.canvas.height);
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
  let request = 0; // of the animation frame while it plays
  let due = 0;
  const stop = () => {
    if (!request) return;
    cancelAnimationFrame(request);
    request = 0;
    fe.setIcon(play, "play", "Play");
  };
  const tick = (now) => {
    if (!ctx.root.isConnected) return stop();
    request = requestAnimationFrame(tick);
    const by = Math.floor((now - due) / interval());
    if (by < 1) return;
    due += by * interval();
    ctx.set({ [trait]: loop ? (at() + by) % (last() + 1) : Math.min(at() + by, last()) });
    if (last() < 1 || (!loop && at() === last())) stop();
  };
  const toggle = () => {
    if (request) return stop();
    if (!loop && at() === last()) ctx.set({ [trait]: 0 });
    due = performance.now();
    request = requestAnimationFrame(tick);
    fe.setIcon(play, "pause", "Pause");
  };
  ctx.cleanup(stop);
  const go = (to) => { stop(); ctx.set({ [trait]: fe.clamp(to, 0, last()) }); };
  const step = (by) => go(at() + by);
  const play = fe.button("Play", toggle, { icon: "play", class: "fe-button fe-primary" });
  const slider = fe.el("input", { type: "range", class: "fe-range", min: 0, step: 1, "aria-label": label,
    oninput: (event) => go(Number(event.target.value)) });
  const keys = { ...fe.moves(step, page), " ": toggle };
  fe.onKeys(slider, keys);
  return {
    at, go, step, keys, slider, stop,
    buttons: [fe.button(`Previous ${noun}`, () => step(-1), { icon: "previous" }), play, fe.button(`Next ${noun}`, () => step(1), { icon: "next" })],
    show(words) {
      slider.max = last();
      slider.value = at();
      slider.disabled = last() < 1;
      slider.setAttribute("aria-valuetext", words);
    },
  };
};

// The transport of clips: a stepper with speed, keyframe jumps and what saves. It reads and writes the trait `index`.
// `shown()` gives the canvases with their names, `draw(i)` draws a frame on them, once `load()` has decoded the clips.
fe.transport = (ctx, { count, fps, marks = [], ...drawing }) => {
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
    fe.el("div", { class: "fe-readrow" }, readout, fe.el("div", { class: "fe-buttons" }, rate, fe.saveButtons(ctx, { count, fps, index: at, ...drawing }))));
  ctx.on("index", show);
  show();
  return { node, index: at, keys: { ...stepper.keys, ...jumps } };
};

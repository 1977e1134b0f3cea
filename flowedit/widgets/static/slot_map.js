// Frames in their latent slots; keyframes are chosen here, and those that collide are named.

const GROUP = 4;

const groupOf = (slot) => (slot === 0 ? [0] : [1, 2, 3, 4].map((i) => GROUP * (slot - 1) + i));

// The same refusals, in the same words, as flowedit.frames.slots_of.
const problemOf = (keyframes, count) => {
  const outside = keyframes.find((index) => index < 0 || index >= count);
  if (outside !== undefined) return `Keyframe ${outside} is outside the clip; its frames are 0 to ${count - 1}.`;
  for (let i = 1; i < keyframes.length; i += 1) {
    const [first, second] = [keyframes[i - 1], keyframes[i]];
    if (first === second) return `Keyframe ${first} is given twice; give each frame once.`;
    if (first > second) return `Keyframe ${second} comes after ${first}; give the indices in increasing order.`;
    if (fe.slotOf(first) === fe.slotOf(second)) {
      const slot = fe.slotOf(first);
      const group = groupOf(slot);
      const free = GROUP * (slot < fe.slotOf(count - 1) ? slot + 1 : slot - 1);
      return `Keyframes ${first} and ${second} lie in one latent slot (frames ${group[0]} to ${group.at(-1)}); `
        + `keep one, or move one to frame ${free}.`;
    }
  }
  return "";
};

export default fe.widget("slot-map", (ctx) => {
  const name = fe.newId("slot-map"); // of which each option's id is made
  const count = () => ctx.get("num_frames");
  const index = () => fe.clamp(Math.round(ctx.get("index") ?? 0), 0, count() - 1);
  const keyframes = () => ctx.get("keyframes") ?? [];
  const go = (frame) => ctx.set({ index: fe.clamp(frame, 0, count() - 1) });
  const toggle = (frame) => {
    const now = keyframes();
    const next = now.includes(frame) ? now.filter((other) => other !== frame) : [...now, frame].sort((a, b) => a - b);
    ctx.set({ keyframes: next, index: frame });
    ctx.announce(`frame ${frame} ${next.includes(frame) ? "is now a keyframe" : "is no keyframe any more"}. ${problemOf(next, count())}`);
  };

  const list = fe.el("div", { class: "fe-slots-list", tabindex: 0, role: "listbox", "aria-multiselectable": "true", "aria-label": "Frames by latent slot" });
  const readout = fe.el("div", { class: "fe-slotread" });
  const message = fe.el("p", { class: "fe-message fe-collision" });
  const summary = fe.el("div", { class: "fe-muted" });
  const clear = fe.button("Clear", () => { ctx.set({ keyframes: [] }); ctx.announce("No keyframe is set."); }, { "aria-label": "Clear all keyframes" });
  const preview = fe.el("div", { class: "fe-slotpreview" });
  let cells = [];
  let clip = null;
  let pen = null;

  const build = () => {
    cells = [];
    const groups = [];
    for (let slot = 0; slot <= fe.slotOf(count() - 1); slot += 1) {
      const frames = groupOf(slot).map((frame) => {
        const cell = fe.el("div", { class: "fe-frame", role: "option", id: `${name}-${frame}`, "data-frame": frame,
          "data-natural": frame % GROUP === 0 }, String(frame));
        cells[frame] = cell;
        return cell;
      });
      groups.push(fe.el("div", { class: "fe-slot", role: "group", "data-slot": slot,
        "aria-label": slot === 0 ? "slot 0, frame 0" : `slot ${slot}, frames ${frames[0].dataset.frame} to ${frames.at(-1).dataset.frame}` },
      fe.el("span", { class: "fe-slotname", "aria-hidden": "true" }, `slot ${slot}`), fe.el("div", { class: "fe-cells", role: "presentation" }, frames)));
    }
    list.replaceChildren(...groups);
    show();
  };

  const showClip = () => {
    clip?.close();
    const [data] = ctx.get("clip") ?? [];
    preview.hidden = !data;
    clip = null;
    if (!data) return;
    clip = fe.clip(data, () => drawFrame());
    const made = fe.canvas(clip, "The frame read out");
    pen = made.pen;
    preview.replaceChildren(made.canvas);
    clip.all(fe.clamp(index(), 0, data.frames - 1));
    drawFrame();
  };
  const drawFrame = () => {
    if (clip?.draw(pen, fe.clamp(looked(), 0, clip.frames - 1))) ctx.root.dataset.drawn = looked();
  };

  // The frame read out: the one under the pointer, else the one that the keys stand on.
  let hovered = null;
  const looked = () => (hovered !== null && hovered < count() ? hovered : index());

  const show = () => {
    const [frame, keys, problem] = [looked(), keyframes(), problemOf(keyframes(), count())];
    const slot = fe.slotOf(frame);
    const crowded = keys.map(fe.slotOf);
    cells.forEach((cell, i) => {
      const key = keys.includes(i);
      const clash = key && crowded.filter((other) => other === fe.slotOf(i)).length > 1;
      cell.setAttribute("aria-selected", String(key));
      cell.setAttribute("aria-label", `frame ${i}${key ? ", keyframe" : ""}${clash ? ", collides" : ""}`);
      cell.toggleAttribute("data-clash", clash);
      cell.toggleAttribute("data-on", i === index());
      cell.parentElement.parentElement.toggleAttribute("data-on", fe.slotOf(i) === slot);
    });
    [...list.children].forEach((group, i) => group.toggleAttribute("data-on", i === slot));
    list.setAttribute("aria-activedescendant", `${name}-${index()}`);
    const group = groupOf(slot);
    readout.replaceChildren(fe.el("strong", {}, `frame ${frame} → slot ${slot}`),
      fe.el("span", {}, `(${frame} + 3) // 4 = ${slot}`),
      fe.el("span", {}, group.length === 1 ? "alone in its slot" : `shares it with frames ${group.filter((other) => other !== frame).join(", ")}`),
      fe.el("span", {}, frame % GROUP === 0 ? "the natural place for a keyframe" : `natural place for a keyframe: ${GROUP * slot}`));
    message.textContent = problem;
    message.hidden = !problem;
    const plural = keys.length === 1 ? "" : "s";
    summary.textContent = `${count()} frames in ${fe.slotOf(count() - 1) + 1} slots. ${keys.length ? `Keyframe${plural} ${keys.join(", ")}${problem ? "" : ` in slot${plural} ${keys.map(fe.slotOf).join(", ")}`}.` : "No keyframe yet."}`
      + " A click, space or Enter sets a keyframe or takes it back.";
    ctx.root.dataset.frame = frame;
    ctx.root.dataset.slot = slot;
    ctx.root.dataset.problem = problem;
    drawFrame();
  };

  const act = (action) => () => {
    hovered = null;
    action();
    cells[index()].scrollIntoView({ block: "nearest" });
  };
  const move = (by) => act(() => go(index() + by));
  const pickHere = act(() => toggle(index()));
  fe.onKeys(list, { ArrowRight: move(1), ArrowLeft: move(-1), ArrowDown: move(GROUP), ArrowUp: move(-GROUP), PageDown: move(4 * GROUP),
    PageUp: move(-4 * GROUP), Home: move(-Infinity), End: move(Infinity), " ": pickHere, Enter: pickHere });
  const frameAt = (event) => event.target.closest?.(".fe-frame")?.dataset.frame;
  // A move, not only an entry: after a key the pointer may still stand in the cell that it is moved in.
  list.addEventListener("pointermove", (event) => {
    const frame = frameAt(event);
    if (frame === undefined || event.pointerType !== "mouse" || Number(frame) === hovered) return;
    hovered = Number(frame);
    show();
  });
  list.addEventListener("pointerleave", () => {
    hovered = null;
    show();
  });
  list.addEventListener("click", (event) => {
    const frame = frameAt(event);
    if (frame !== undefined) toggle(Number(frame));
  });

  ctx.root.append(fe.el("div", { class: "fe-slotgrid" }, fe.el("div", { class: "fe-slotmain" }, list, readout, message, fe.el("div", { class: "fe-row" }, clear, summary)), preview));
  ctx.on("num_frames", build);
  ctx.on("clip", showClip);
  ctx.on(["index", "keyframes"], show);
  ctx.cleanup(() => clip?.close());
  // A clip picker's other controls are plain ipywidgets in one box with this map; their keys stay in it too.
  let waiting = 0;
  const guardPicker = () => {
    if (!ctx.root.isConnected) { waiting = requestAnimationFrame(guardPicker); return; }
    const box = ctx.root.closest(".fe-picker");
    if (!box) return;
    fe.guardKeys(box);
    // ipywidgets leaves the handle of a slider without a name.
    for (const handle of box.querySelectorAll(".noUi-handle")) {
      handle.setAttribute("aria-label", handle.closest(".widget-slider")?.querySelector(".widget-label")?.textContent ?? "Frames");
    }
  };
  ctx.cleanup(() => cancelAnimationFrame(waiting));
  guardPicker();
  build();
  showClip();
});

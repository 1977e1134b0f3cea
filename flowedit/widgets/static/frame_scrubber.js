// Clips in step: scrub, play, and compare two by wipe or difference.

const MODES = [["side", "Side by side"], ["wipe", "Wipe"], ["difference", "Difference"]];

const DOUBLED = 2; // times: |a - b| is drawn four times as bright, clipped at white

export default fe.widget("frame-scrubber", (ctx) => {
  const data = ctx.get("clips");
  const names = data.map((clip) => clip.name);
  let wipe = 0.5;

  const clips = data.map((clip) => fe.clip(clip, () => draw()));
  const transport = fe.transport(ctx, { count: clips[0].frames, fps: ctx.get("fps"), marks: ctx.get("keyframes"),
    load: () => Promise.all(clips.map((clip) => clip.all(transport.index()))), draw: (index) => draw(index),
    shown: () => (mode() === "side" ? cells.map((cell, i) => [cell.canvas, names[i]]) : [[both.canvas, bothCaption.textContent]]) });
  const cells = clips.map((clip) => {
    const { canvas, pen } = fe.canvas(clip, clip.name);
    return { canvas, pen, figure: fe.el("figure", { class: "fe-cell" }, canvas, fe.el("figcaption", {}, clip.name)) };
  });
  const both = fe.canvas(clips[0], "Comparison");
  const bar = fe.el("i", { class: "fe-bar", "aria-hidden": "true" });
  const bothCaption = fe.el("figcaption", {});
  const bothFigure = fe.el("figure", { class: "fe-cell fe-both" }, fe.el("div", { class: "fe-wipebox" }, both.canvas, bar), bothCaption);
  const stage = fe.el("div", { class: "fe-stage", tabindex: 0, role: "group",
    "aria-label": "Frames. Arrow keys move, space plays." },
  cells.map((cell) => cell.figure), bothFigure);

  const mode = () => (clips.length > 1 ? ctx.get("mode") : "side");
  const pair = () => (ctx.get("pair") ?? []).map((i) => fe.clamp(i, 0, clips.length - 1));

  const draw = (index = transport.index()) => {
    const [a, b] = pair();
    let complete = true;
    if (mode() === "side") {
      cells.forEach((cell, i) => { complete = clips[i].draw(cell.pen, index) && complete; });
    } else if (mode() === "difference") {
      complete = clips[a].draw(both.pen, index);
      both.pen.save();
      both.pen.globalCompositeOperation = "difference";
      complete = clips[b].draw(both.pen, index) && complete;
      both.pen.globalCompositeOperation = "lighter";
      for (let i = 0; i < DOUBLED; i += 1) both.pen.drawImage(both.canvas, 0, 0);
      both.pen.restore();
    } else {
      complete = clips[b].draw(both.pen, index);
      both.pen.save();
      both.pen.beginPath();
      both.pen.rect(0, 0, wipe * both.canvas.width, both.canvas.height);
      both.pen.clip();
      complete = clips[a].draw(both.pen, index) && complete;
      both.pen.restore();
    }
    if (complete) ctx.root.dataset.drawn = index;
  };

  const wipeSlider = fe.el("input", { type: "range", class: "fe-range", min: 0, max: 100, value: 50, "aria-label": "Wipe position",
    oninput: (event) => setWipe(event.target.value / 100) });
  const setWipe = (share) => {
    wipe = fe.clamp(share, 0, 1);
    wipeSlider.value = Math.round(100 * wipe);
    wipeSlider.setAttribute("aria-valuetext", `${Math.round(100 * wipe)} percent ${names[pair()[0]]}`);
    bar.style.left = `${100 * wipe}%`;
    draw();
  };
  const choose = (label, place) => fe.select(label, names.map((name, i) => [i, name]), pair()[place], (value) => {
    const next = pair();
    next[place] = Number(value);
    ctx.set({ pair: next });
  });
  const [chooseA, chooseB] = [choose("A", 0), choose("B", 1)];
  const modes = fe.segments("View", MODES, mode(), (value) => { ctx.set({ mode: value }); ctx.announce(value); });
  const wipeField = fe.el("label", { class: "fe-field fe-grow" }, fe.el("span", {}, "Wipe"), wipeSlider);
  const compare = fe.el("div", { class: "fe-row" }, modes.node, chooseA, chooseB, wipeField);

  const showMode = () => {
    const current = mode();
    const [a, b] = pair();
    const side = current === "side";
    cells.forEach((cell) => { cell.figure.hidden = !side; });
    bothFigure.hidden = side;
    for (const field of [chooseA, chooseB]) field.hidden = side;
    wipeField.hidden = bar.hidden = current !== "wipe";
    modes.show(current);
    chooseA.querySelector("select").value = a;
    chooseB.querySelector("select").value = b;
    stage.dataset.mode = current;
    bothCaption.textContent = current === "difference" ? `|${names[a]} − ${names[b]}| × ${2 ** DOUBLED}` : `${names[a]} | ${names[b]}`;
    both.canvas.setAttribute("aria-label", `${current} of ${names[a]} and ${names[b]}`);
    setWipe(wipe);
  };

  fe.onKeys(stage, transport.keys);
  stage.addEventListener("pointerdown", (event) => {
    const canvas = event.target.closest("canvas");
    if (!canvas || event.button !== 0 || mode() !== "wipe") return;
    const box = canvas.getBoundingClientRect();
    const move = (next) => setWipe((next.clientX - box.left) / box.width);
    const end = () => { canvas.removeEventListener("pointermove", move); canvas.removeEventListener("pointerup", end); };
    canvas.setPointerCapture(event.pointerId);
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", end);
    move(event);
  });

  const { width, height } = data[0];
  const size = clips[0].width === width ? `${width} × ${height}` : `${width} × ${height}, shown at ${clips[0].width} × ${clips[0].height}`;
  ctx.root.style.setProperty("--fe-columns", Math.min(clips.length, width > height ? 2 : 4));
  ctx.root.style.setProperty("--fe-natural", `${Math.max(clips[0].width, 240)}px`);
  ctx.root.append(stage, transport.node, clips.length > 1 ? compare : "",
    fe.el("div", { class: "fe-muted" }, `${clips[0].frames} frames of ${size}, ${fe.number(ctx.get("fps"))} frames per second`));

  ctx.on("index", () => draw());
  ctx.on(["mode", "pair"], showMode);
  ctx.cleanup(() => clips.forEach((clip) => clip.close()));
  showMode();
  clips.forEach((clip) => clip.all(transport.index()));
});

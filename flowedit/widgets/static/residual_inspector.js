// What each step saw at each keyframe: heat map and lines.

const MEANING = {
  gap_norm: "gap after the step, share of the distance from source to keyframe: 1 = nothing carried over, 0 = reached",
  r_k_norm: "residual before the correction: the gap this step would have left (rms)",
  v_diff_norm: "difference of the two branches' velocities (rms)",
  delta_v_norm: "difference of the two branches' latents before the step (rms)",
};
const RULE = 0.01; // the rule of thumb in circulation for r_k
const CELL = 26;

export default fe.widget("residual-inspector", (ctx) => {
  const hatch = fe.newId("hatch");
  const body = fe.el("div", { class: "fe-body" });
  const readout = fe.el("output", { class: "fe-readout", "aria-live": "polite" });
  const readings = fe.segments("Reading", fe.READINGS, ctx.get("reading"), (reading) => ctx.set({ reading }));
  const views = fe.segments("View", [["heat", "heat map"], ["lines", "lines"]], ctx.get("view"), (view) => ctx.set({ view }));
  const meaning = fe.el("p", { class: "fe-muted" });
  ctx.root.append(fe.el("div", { class: "fe-row" }, readings.node, views.node), meaning, body, readout);

  const trace = () => ctx.get("trace");
  const value = (step, k) => trace().steps[step]?.[ctx.get("reading")]?.[k] ?? null;
  const column = () => trace().keyframes.indexOf(ctx.get("index"));
  const row = () => fe.clamp(ctx.get("step"), 0, Math.max(0, trace().steps.length - 1));
  // A gesture picks a keyframe and a step; a linked scrubber follows `index`.
  const pick = (step, k) => ctx.set({ step, index: trace().keyframes[k] });
  const nameOf = (k) => `keyframe ${trace().keyframes[k]} (slot ${trace().slots[k]})`;

  const lines = fe.plot(ctx, { label: "Reading of every keyframe over the steps", xLabel: "step", yLabel: "reading", height: 240,
    onpick: (step) => pick(step, Math.max(0, column())),
    describe: (step) => `step ${step}, sigma ${fe.number(trace().steps[step].sigma)}` });
  const legend = fe.el("div", {});
  const linesBox = fe.el("div", {}, lines.node, legend);
  const heatBox = fe.el("div", { class: "fe-heat", tabindex: 0, role: "group",
    "aria-label": "Heat map of step by keyframe. Arrow keys move the selected cell; its value is read out below." });
  const drawHeat = (width) => {
    const { steps, keyframes } = trace();
    const all = steps.flatMap((_, s) => keyframes.map((_, k) => value(s, k)));
    const domain = ctx.get("reading") === "gap_norm" ? [0, 1] : fe.readingDomain(all);
    const scale = fe.scale(domain);
    const left = 44;
    const cell = (width - left) / steps.length;
    const height = keyframes.length * CELL;
    const svg = fe.svg("svg", { width, height: height + 34, role: "presentation" },
      fe.svg("defs", {}, fe.svg("pattern", { id: hatch, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        fe.svg("rect", { width: 2, height: 6, fill: "var(--fe-edge)" }))));
    keyframes.forEach((keyframe, k) => {
      svg.append(fe.svg("text", { class: "fe-ticktext", x: left - 6, y: k * CELL + CELL / 2 + 4, "text-anchor": "end" }, `f ${keyframe}`));
      steps.forEach((_, s) => {
        const at = scale(value(s, k));
        svg.append(fe.svg("rect", { class: "fe-hcell", x: left + s * cell, y: k * CELL + 1, width: Math.max(1, cell - (cell > 6 ? 1 : 0)), height: CELL - 2,
          rx: cell > 8 ? 2 : 0, fill: at === null ? `url(#${hatch})` : fe.ramp(at), "data-step": s, "data-keyframe": k }));
      });
    });
    const every = Math.max(1, Math.ceil(steps.length / Math.max(1, Math.floor((width - left) / 40))));
    steps.forEach((step, s) => {
      if (s % every === 0) svg.append(fe.svg("text", { class: "fe-ticktext", x: left + (s + 0.5) * cell, y: height + 14, "text-anchor": "middle" }, step.step));
    });
    svg.append(fe.svg("text", { class: "fe-axistext", x: left + (width - left) / 2, y: height + 29, "text-anchor": "middle" }, "step, from noise to data"));
    const k = column();
    if (k >= 0) svg.append(fe.svg("rect", { class: "fe-picked", x: left + row() * cell, y: k * CELL + 1, width: Math.max(3, cell - 1), height: CELL - 2, rx: 2 }));
    heatBox.replaceChildren(svg, colourBar(domain, all.some((one) => scale(one) === null)));
  };
  const colourBar = (domain, gaps) => {
    const stops = [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => `${fe.ramp(share)} ${100 * share}%`).join(",");
    return fe.el("div", { class: "fe-colourbar" }, fe.el("span", {}, fe.number(domain[0])),
      fe.el("i", { style: `background:linear-gradient(90deg,${stops})` }), fe.el("span", {}, fe.number(domain[1])),
      gaps ? fe.el("span", { class: "fe-muted" }, "hatched: not finite") : null);
  };
  const redrawHeat = fe.onWidth(ctx, heatBox, drawHeat);

  const say = (step, k) => {
    const { steps } = trace();
    if (k < 0) return readout.replaceChildren(fe.el("span", {}, `Frame ${ctx.get("index")} is no keyframe; pick a cell.`));
    const spans = [`step ${steps[step].step}`, `sigma ${fe.number(steps[step].sigma)}`, nameOf(k), `kappa ${fe.number(steps[step].kappa)}`,
      ...fe.READINGS.map(([key, name]) => `${name} ${fe.number(steps[step][key][k] ?? null)}`)];
    readout.replaceChildren(...spans.map((text) => fe.el("span", {}, text)));
  };
  heatBox.addEventListener("pointermove", ({ target }) => { if (target.dataset.step) say(Number(target.dataset.step), Number(target.dataset.keyframe)); });
  heatBox.addEventListener("pointerleave", () => say(row(), column()));
  heatBox.addEventListener("click", ({ target }) => { if (target.dataset.step) pick(Number(target.dataset.step), Number(target.dataset.keyframe)); });
  const move = (ds, dk) => () => {
    const { steps, keyframes } = trace();
    pick(fe.clamp(row() + ds, 0, steps.length - 1), fe.clamp(Math.max(0, column()) + dk, 0, keyframes.length - 1));
  };
  fe.onKeys(heatBox, { ArrowRight: move(1, 0), ArrowLeft: move(-1, 0), ArrowDown: move(0, 1), ArrowUp: move(0, -1), PageDown: move(10, 0),
    PageUp: move(-10, 0), Home: move(-Infinity, 0), End: move(Infinity, 0) });

  const drawLines = () => {
    const { steps, keyframes } = trace();
    const series = keyframes.map((_, k) => ({ name: nameOf(k), ...fe.lineStyle(k), faint: column() >= 0 && column() !== k && keyframes.length > 4,
      points: steps.map((_, s) => [s, value(s, k)]) }));
    const ruled = ctx.get("reading") === "r_k_norm";
    lines.update({ series, cursor: row(), y: { domain: fe.readingDomain(series.flatMap((line) => line.points.map(([, y]) => y)), ruled ? 10 * RULE : 1) }, x: { whole: true, domain: steps.length > 1 ? [0, steps.length - 1] : [-0.5, 0.5] },
      lines: ruled ? [{ y: RULE, text: `${RULE}: a rule of thumb, not a proof` }] : [] });
    legend.replaceChildren(fe.legend(series));
  };
  const show = () => {
    const { steps, keyframes } = trace();
    const view = ctx.get("view");
    readings.show(ctx.get("reading"));
    views.show(view);
    meaning.textContent = `${fe.READINGS.find(([key]) => key === ctx.get("reading"))[1]}: ${MEANING[ctx.get("reading")]}`;
    const empty = steps.length === 0 || keyframes.length === 0;
    if (empty) {
      body.replaceChildren(fe.el("p", { class: "fe-message" }, steps.length ? "This run had no keyframe, so there is nothing to compare." : "No step was recorded yet."));
      readout.replaceChildren();
      return;
    }
    body.replaceChildren(view === "heat" ? heatBox : linesBox);
    (view === "heat" ? redrawHeat : drawLines)();
    say(row(), column());
    ctx.root.dataset.cell = `${row()},${column()}`;
  };
  ctx.on(["trace", "reading", "view", "step", "index"], show);
  show();
});

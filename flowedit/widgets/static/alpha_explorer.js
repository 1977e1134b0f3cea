// Runs over alpha: frames, metrics and residual curves change at once; a new value asks the kernel.

const mean = (values) => {
  const good = values.filter(fe.isNumber);
  return good.length ? good.reduce((sum, value) => sum + value, 0) / good.length : null;
};

export default fe.widget("alpha-explorer", (ctx) => {
  const source = ctx.get("source");
  const runs = () => ctx.get("runs");
  const nearest = () => runs().reduce((best, run) =>
    (Math.abs(run.alpha - ctx.get("alpha")) < Math.abs(best.alpha - ctx.get("alpha")) ? run : best));
  const { clip: size, trace: { keyframes } } = runs()[0];
  const picture = fe.canvas({ width: size.cell[0], height: size.cell[1] }, "Edited clip");
  const caption = fe.el("figcaption", {});
  const before = source.frames ? fe.clip(source, () => draw()) : null;
  const beforePicture = before ? fe.canvas(before, "source") : null;
  const stage = fe.el("div", { class: "fe-stage" },
    before ? fe.el("figure", { class: "fe-cell" }, beforePicture.canvas, fe.el("figcaption", {}, "source")) : null,
    fe.el("figure", { class: "fe-cell" }, picture.canvas, caption));
  const transport = fe.transport(ctx, { count: size.frames, fps: ctx.get("fps"), marks: keyframes, draw: (index) => draw(index),
    load: () => Promise.all([before, clipOf(nearest())].map((clip) => clip?.all(transport.index()))),
    shown: () => [...(before ? [[beforePicture.canvas, "source"]] : []), [picture.canvas, caption.textContent]] });

  const slider = fe.el("input", { type: "range", class: "fe-range", min: 0, step: 1, "aria-label": "Alpha",
    oninput: (event) => ctx.set({ alpha: runs()[event.target.value].alpha }) });
  fe.onKeys(slider, { ...fe.moves((by) => ctx.set({ alpha: runs()[fe.clamp(runs().indexOf(nearest()) + by, 0, runs().length - 1)].alpha }), 2),
    " ": transport.keys[" "] });
  const valueText = fe.el("output", { class: "fe-alphavalue" });

  const metricNames = () => [...new Set(runs().flatMap((run) => Object.keys(run.metrics)))];
  let metric = "";
  const metricPlot = fe.plot(ctx, { label: "Metric over alpha", xLabel: "alpha", yLabel: "", height: 150,
    onpick: (alpha) => ctx.set({ alpha }), describe: (alpha) => `alpha ${fe.number(alpha)}` });
  const metricBox = fe.el("div", {});
  const showMetrics = () => {
    const names = metricNames();
    if (!names.includes(metric)) [metric] = names;
    metricBox.replaceChildren(fe.select("Metric", names.map((name) => [name, name]), metric, (name) => { metric = name; show(); }));
  };
  const curves = fe.plot(ctx, { label: "Reading over the steps, mean over the keyframes", xLabel: "step", yLabel: "", height: 170,
    describe: (step) => `step ${step}` });
  const readingSelect = fe.select("Reading", fe.READINGS, ctx.get("reading"), (reading) => ctx.set({ reading }));
  const curveBox = fe.el("div", {}, readingSelect, curves.node);
  const readout = fe.el("output", { class: "fe-readout" });

  const job = fe.job(ctx);
  const wanted = fe.el("input", { type: "number", class: "fe-text fe-alphainput", min: 0, step: "any", "aria-label": "New alpha", value: ctx.get("alpha") });
  const ask = () => {
    const alpha = Number(wanted.value);
    if (wanted.value === "" || !(alpha >= 0)) ctx.announce("alpha must be a number of at least 0");
    else if (runs().some((run) => run.alpha === alpha)) ctx.set({ alpha });
    else job.request({ type: "compute", alpha });
  };
  const compute = fe.button("Compute this alpha", ask);
  wanted.addEventListener("keydown", (event) => { if (event.key === "Enter") ask(); });
  const computeRow = fe.el("div", { class: "fe-row", hidden: !(ctx.get("can_compute") && ctx.live_host) },
    fe.el("label", { class: "fe-field" }, fe.el("span", {}, "New alpha"), wanted), compute, job.node);
  job.onchange(() => { compute.disabled = job.busy(); });

  let decoded = new Map();
  const clipOf = (run) => {
    if (!decoded.has(run)) decoded.set(run, fe.clip(run.clip, () => draw()));
    return decoded.get(run);
  };
  const draw = (index = transport.index()) => {
    const run = nearest();
    const complete = clipOf(run).draw(picture.pen, index);
    const beside = !before || before.draw(beforePicture.pen, index);
    if (complete && beside) ctx.root.dataset.drawn = `${run.alpha}@${index}`;
  };

  const showPlots = (run) => {
    metricPlot.node.hidden = metricBox.hidden = !metric;
    curveBox.hidden = !runs().some((one) => one.trace.steps.length);
    if (metric) {
      metricPlot.update({ cursor: run.alpha, y: { domain: fe.roundDomain(fe.domain(runs().map((one) => one.metrics[metric]))) },
        series: [{ name: metric, dots: true, points: runs().map((one) => [one.alpha, one.metrics[metric] ?? null]) }] });
    }
    const key = ctx.get("reading");
    const line = (one) => ({ name: `alpha ${fe.number(one.alpha)}`, tag: `α ${fe.number(one.alpha)}`, faint: one !== run,
      colour: one === run ? "var(--fe-accent)" : "currentColor", points: one.trace.steps.map((step, s) => [s, mean(step[key])]) });
    const series = [...runs().filter((one) => one !== run), run].map(line);
    curves.update({ x: { whole: true }, y: { domain: fe.readingDomain(series.flatMap(({ points }) => points.map(([, y]) => y))) }, series });
  };
  const showNumbers = (run) => {
    const numbers = { ...run.metrics, "final gap": mean(run.trace.steps.at(-1)?.gap_norm ?? []) };
    readout.replaceChildren(...Object.entries(numbers).map(([name, value]) => fe.el("span", {}, `${name} ${fe.number(value)}`)));
  };
  const show = () => {
    const [run, list] = [nearest(), runs()];
    readingSelect.querySelector("select").value = ctx.get("reading");
    slider.max = Math.max(0, list.length - 1);
    slider.value = list.indexOf(run);
    slider.disabled = list.length < 2;
    slider.setAttribute("aria-valuetext", `alpha ${fe.number(run.alpha)}, ${list.indexOf(run) + 1} of ${list.length}`);
    valueText.textContent = `α = ${fe.number(run.alpha)}, ${list.indexOf(run) + 1} of ${list.length}`;
    caption.textContent = `edited, alpha ${fe.number(run.alpha)}`;
    picture.canvas.setAttribute("aria-label", caption.textContent);
    showPlots(run);
    showNumbers(run);
    draw();
  };
  const close = () => decoded.forEach((clip) => clip.close());
  ctx.root.style.setProperty("--fe-columns", before ? 2 : 1);
  ctx.root.append(fe.el("div", { class: "fe-pair" },
    fe.el("div", { class: "fe-side" }, stage, transport.node,
      fe.el("div", { class: "fe-alpha" }, valueText, fe.el("div", { class: "fe-alphaline" }, slider)), readout, computeRow),
    fe.el("div", { class: "fe-side" }, metricBox, metricPlot.node, curveBox)));
  ctx.on("index", () => draw());
  ctx.on(["alpha", "reading"], show);
  ctx.on("runs", () => { close(); decoded = new Map(); showMetrics(); show(); });
  ctx.cleanup(() => { close(); before?.close(); });
  showMetrics();
  show();
  // Decode the other runs while nothing is asked for, so that moving over alpha is immediate.
  (async () => { for (const run of [nearest(), ...runs()]) if (ctx.root.isConnected || run === nearest()) await clipOf(run).all(transport.index()); })();
});

// Runs side by side over alpha: frames, metrics and residual curves change at once; a new value asks the kernel.

const READINGS = [["gap_norm", "gap left"], ["r_k_norm", "r_k"], ["v_diff_norm", "v_diff"], ["delta_v_norm", "Δv"]];

const mean = (values) => {
  const good = values.filter(fe.isNumber);
  return good.length ? good.reduce((sum, value) => sum + value, 0) / good.length : null;
};

export default fe.widget("alpha-explorer", (ctx) => {
  const source = ctx.get("source");
  const first = ctx.get("runs")[0];
  let decoded = [];
  const picture = fe.canvas({ width: first.clip.cell[0], height: first.clip.cell[1] }, "Edited clip");
  const caption = fe.el("figcaption", {});
  const before = source.frames ? fe.clip(source, () => draw()) : null;
  const beforePicture = before ? fe.canvas(before, "source") : null;
  const edited = fe.el("figure", { class: "fe-cell" }, picture.canvas, caption);
  const stage = fe.el("div", { class: "fe-stage" },
    before ? fe.el("figure", { class: "fe-cell" }, beforePicture.canvas, fe.el("figcaption", {}, "source")) : null,
    edited);
  const transport = fe.transport(ctx, { count: first.clip.frames, fps: ctx.get("fps"), marks: first.trace.keyframes });

  const runs = () => ctx.get("runs");
  const otherNames = () => [...new Set(runs().flatMap((run) => Object.keys(run.other)))];
  const same = (a, b) => otherNames().every((name) => a[name] === b[name]);
  // The runs at the other settings now chosen, in the order of alpha.
  const shown = () => runs().filter((run) => same(run.other, ctx.get("other"))).sort((a, b) => a.alpha - b.alpha);
  // The run shown; null where nobody computed one at these settings: another's picture would be mistaken for it.
  const nearest = () => shown().reduce((best, run) =>
    (best === null || Math.abs(run.alpha - ctx.get("alpha")) < Math.abs(best.alpha - ctx.get("alpha")) ? run : best), null);

  const slider = fe.el("input", { type: "range", class: "fe-range", min: 0, step: 1, "aria-label": "Alpha",
    oninput: (event) => ctx.set({ alpha: shown()[event.target.value].alpha }) });
  const ticks = fe.el("div", { class: "fe-alphaticks", "aria-hidden": "true" });
  const valueText = fe.el("output", { class: "fe-alphavalue" });
  slider.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 2, PageDown: -2, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === " ") transport.onkey(event);
    if (!by) return;
    event.preventDefault();
    const list = shown();
    ctx.set({ alpha: list[fe.clamp(list.indexOf(nearest()) + by, 0, list.length - 1)].alpha });
  });
  const fields = fe.el("div", { class: "fe-row" });
  // The values of each other setting in the grid, which grows as runs join it.
  const valuesOf = (name) => [...new Set(runs().map((run) => run.other[name]))].filter((value) => value !== undefined);
  const showFields = () => {
    const now = ctx.get("other");
    fill(fields, otherNames().map((name) => [name, valuesOf(name)]), (lists) => lists.map(([name, values]) => {
      const field = fe.select(name, values.map((value) => [value, String(value)]), now[name], (text) =>
        ctx.set({ other: { ...ctx.get("other"), [name]: values.find((value) => String(value) === text) } }));
      field.dataset.setting = name;
      return field;
    }));
    for (const field of fields.children) field.querySelector("select").value = String(now[field.dataset.setting]);
  };
  // Rebuild the controls in `box` only where `lists` differ from what they were made of: a reader may be in one.
  const fill = (box, lists, make) => {
    const made = JSON.stringify(lists);
    if (box.dataset.made === made) return;
    box.dataset.made = made;
    box.replaceChildren(...make(lists));
  };

  const metricNames = () => [...new Set(runs().flatMap((run) => Object.keys(run.metrics)))];
  let metric = metricNames()[0];
  const metricPlot = fe.plot(ctx, { label: "Metric over alpha", xLabel: "alpha", yLabel: "", height: 200,
    onpick: (alpha) => ctx.set({ alpha }), describe: (alpha) => `alpha ${fe.number(alpha)}` });
  const metricSelect = fe.el("div", {});
  const curves = fe.plot(ctx, { label: "Reading over the steps, mean over the keyframes", xLabel: "step", yLabel: "", height: 200,
    describe: (step) => `step ${step}` });
  const readingSelect = fe.select("Reading", READINGS, ctx.get("reading"), (reading) => ctx.set({ reading }));
  const metricBox = fe.el("div", {}, metricSelect, metricPlot.node);
  const curveBox = fe.el("div", {}, readingSelect, curves.node);
  const plots = fe.el("div", { class: "fe-pair" }, metricBox, curveBox);
  const tableBox = fe.el("div", {});

  const job = fe.job(ctx);
  const wanted = fe.el("input", { type: "number", class: "fe-text fe-alphainput", min: 0, step: "any", "aria-label": "New alpha", value: ctx.get("alpha") });
  const ask = () => {
    const alpha = Number(wanted.value);
    if (wanted.value === "" || !(alpha >= 0)) { ctx.announce("alpha must be a number of at least 0"); return; }
    if (shown().some((run) => run.alpha === alpha)) ctx.set({ alpha });
    else job.request({ type: "compute", alpha, other: ctx.get("other") });
  };
  const compute = fe.button("Compute this alpha", ask);
  const nothing = fe.el("p", { class: "fe-message", role: "status" }, "No run at these settings.");
  const fillIn = fe.button("Compute this run", () => job.request({ type: "compute", alpha: ctx.get("alpha"), other: ctx.get("other") }));
  const hole = fe.el("div", { class: "fe-hole" }, nothing, fillIn);
  stage.append(hole);
  wanted.addEventListener("keydown", (event) => { if (event.key === "Enter") ask(); });
  const computeRow = fe.el("div", { class: "fe-row" }, fe.el("label", { class: "fe-field" }, fe.el("span", {}, "New alpha"), wanted), compute, job.node);
  const can = ctx.get("can_compute") && ctx.live_host;
  computeRow.hidden = fillIn.hidden = !can;

  const clipOf = (run) => {
    const place = runs().indexOf(run);
    decoded[place] ??= fe.clip(run.clip, () => draw());
    return decoded[place];
  };
  const draw = () => {
    const run = nearest();
    const index = transport.index();
    if (!run) {
      delete ctx.root.dataset.drawn;
      return;
    }
    const complete = clipOf(run).draw(picture.pen, index);
    const beside = !before || before.draw(beforePicture.pen, index);
    if (complete && beside) ctx.root.dataset.drawn = `${run.alpha}@${index}`;
  };

  const showPlots = (run, list) => {
    const faint = (other) => other !== run;
    metricBox.hidden = !metric;
    curveBox.hidden = !list.some((one) => one.trace.steps.length);
    if (metric) {
      metricPlot.update({ cursor: run.alpha, y: { domain: fe.roundDomain(fe.domain(list.map((one) => one.metrics[metric]))) },
        series: [{ name: metric, dots: true, points: list.map((one) => [one.alpha, one.metrics[metric] ?? null]) }] });
    }
    const key = ctx.get("reading");
    const line = (one) => ({ name: `alpha ${fe.number(one.alpha)}`, tag: `α ${fe.number(one.alpha)}`, faint: faint(one), colour: faint(one) ? "currentColor" : "var(--fe-accent)",
      points: one.trace.steps.map((step, s) => [s, mean(step[key])]) });
    curves.update({ x: { whole: true }, series: [...list.filter(faint).map(line), line(run)],
      y: { domain: fe.roundDomain(fe.domain([0, ...list.flatMap((one) => one.trace.steps.map((step) => mean(step[key])))])) } });
  };
  const showTable = (run, list) => {
    const names = metricNames();
    const box = fe.table("Every run; the one shown is marked", ["alpha", ...names, "final gap"], list.map((one) => [
      `${one === run ? "▸ " : ""}${fe.number(one.alpha)}`, ...names.map((name) => one.metrics[name] ?? null),
      mean(one.trace.steps.at(-1)?.gap_norm ?? [])]));
    box.querySelectorAll("tbody tr").forEach((row, i) => row.toggleAttribute("data-on", list[i] === run));
    tableBox.replaceChildren(box);
  };
  const showMetrics = () => {
    const names = metricNames();
    if (!names.includes(metric)) [metric] = names;
    fill(metricSelect, names, () => [fe.select("Metric", names.map((name) => [name, name]), metric, (name) => { metric = name; show(); })]);
  };
  const settings = () => otherNames().map((name) => `${name} ${ctx.get("other")[name] ?? "not set"}`);
  const showHole = () => {
    slider.disabled = true;
    valueText.textContent = `α = ${fe.number(ctx.get("alpha"))}`;
    ticks.replaceChildren();
    nothing.textContent = ["No run at these settings: ", settings().join(", "), ". ",
      can ? "Compute one, or choose others." : "Choose others."].join("");
    fillIn.textContent = `Compute alpha ${fe.number(ctx.get("alpha"))} here`;
    tableBox.replaceChildren();
  };
  const showRun = (run, list) => {
    slider.max = Math.max(0, list.length - 1);
    slider.value = list.indexOf(run);
    slider.disabled = list.length < 2;
    slider.setAttribute("aria-valuetext", `alpha ${fe.number(run.alpha)}, ${list.indexOf(run) + 1} of ${list.length}`);
    valueText.textContent = `α = ${fe.number(run.alpha)}`;
    ticks.replaceChildren(...list.map((one) => fe.el("span", { "data-on": one === run }, fe.number(one.alpha))));
    ticks.hidden = list.length > 12;
    caption.textContent = [`edited, alpha ${fe.number(run.alpha)}`, ...settings()].join(", ");
    picture.canvas.setAttribute("aria-label", caption.textContent);
    showPlots(run, list);
    showTable(run, list);
  };
  const show = () => {
    const list = shown();
    const run = nearest();
    edited.hidden = plots.hidden = !run;
    hole.hidden = Boolean(run);
    ctx.root.toggleAttribute("data-hole", !run);
    showFields();
    showMetrics();
    readingSelect.querySelector("select").value = ctx.get("reading");
    compute.disabled = fillIn.disabled = job.busy();
    if (run) showRun(run, list);
    else showHole();
    draw();
  };
  const natural = Math.max(first.clip.cell[0], 240);
  ctx.root.style.setProperty("--fe-natural", `${natural}px`);
  ctx.root.style.setProperty("--fe-columns", before ? 2 : 1);
  ctx.root.append(stage, transport.node,
    fe.el("div", { class: "fe-alpha" }, valueText, fe.el("div", { class: "fe-alphaline" }, slider, ticks), fields),
    computeRow, plots, tableBox);
  ctx.on("index", draw);
  ctx.on(["alpha", "other", "reading"], show);
  ctx.on("job", () => { compute.disabled = fillIn.disabled = job.busy(); }); // ten times a second, so nothing else is drawn anew
  ctx.on("runs", () => { decoded.forEach((clip) => clip?.close()); decoded = []; show(); });
  ctx.cleanup(() => [before, ...decoded].forEach((clip) => clip?.close()));
  show();
  // Decode the other runs while nothing is asked for, so that moving over alpha is immediate.
  (async () => { for (const run of [nearest(), ...runs()]) if (run && (ctx.root.isConnected || run === nearest())) await clipOf(run).all(transport.index()); })();
});

// The gap between the main and the keyframe branch, from the closed form: equal to the Python loop.

const ALPHAS = [0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 25, 30, 40, 50, 75, 100];
const STEPS = [...fe.steps(1, 60, 59), 70, 80, 90, 100, 120, 150, 200];
const CURVES = [
  { key: "corrected", name: "corrected at every step", colour: "var(--fe-accent)", dash: null, width: 2.5 },
  { key: "lastOnly", name: "only at the last step", colour: "var(--fe-second)", dash: "8 4", width: 2 },
  { key: "never", name: "never corrected", colour: "var(--fe-muted)", dash: "2 4", width: 2 },
];

// Share of the residual that the main branch takes away in a step of length dt.
const kappaOf = ({ gain, alpha, beta }, dt) =>
  (gain === "euler" ? alpha * dt : -Math.expm1(-alpha * (1 + beta) * dt) / (1 + beta));

// Gap of both branches under the exact fields of Gaussian data of width `spread`, one unit apart:
// v_diff = slope * (gap - (1 - sigma)) - 1, r = gap - dt * v_diff, next gap = (1 - kappa (1 + beta)) r.
const gapPath = (sigmas, kappas, beta, spread) => {
  let gap = 1 - sigmas[0];
  return kappas.map((kappa, i) => {
    const sigma = sigmas[i];
    const clean = (1 - sigma) * spread * spread;
    const slope = (sigma - clean) / ((1 - sigma) * clean + sigma * sigma);
    const r = gap - (sigma - sigmas[i + 1]) * (slope * (gap - (1 - sigma)) - 1);
    gap = (1 - kappa * (1 + beta)) * r;
    return { r, gap };
  });
};

const curvesOf = (settings) => {
  const { steps, strength, shift, beta, spread, gain } = settings;
  const sigmas = fe.wanSigmas(steps, strength, shift);
  const dts = sigmas.slice(0, -1).map((sigma, i) => sigma - sigmas[i + 1]);
  const kappas = dts.map((dt) => kappaOf(settings, dt));
  const every = gapPath(sigmas, kappas, beta, spread);
  const gaps = (list) => gapPath(sigmas, list, beta, spread).map(({ gap }) => gap);
  return {
    sigmas, dts, kappas,
    totals: kappas.map((kappa) => kappa * (1 + beta)),
    residuals: every.map(({ r }) => r),
    corrected: every.map(({ gap }) => gap),
    lastOnly: gaps(kappas.map((kappa, i) => (i === steps - 1 ? kappa : 0))),
    never: gaps(kappas.map(() => 0)),
    unstable: gain === "euler" ? dts.flatMap((dt, i) => (settings.alpha * dt * (1 + beta) >= 2 ? [i] : [])) : [],
  };
};

const share = (value) => (Math.abs(value) < 1e4 ? value.toFixed(Math.abs(value) < 10 ? 3 : 1) : value.toExponential(1)).replace("-", "−");

const COLUMNS = ["step", "sigma", "dt", "kappa", "residual", "gap", "gap, last only", "gap, never"];

const rowsOf = (curves) => curves.kappas.map((kappa, i) =>
  [i, curves.sigmas[i], curves.dts[i], kappa, curves.residuals[i], curves.corrected[i], curves.lastOnly[i], curves.never[i]]);

const csvOf = (curves) => [COLUMNS.map((name) => `"${name}"`), ...rowsOf(curves)].map((row) => row.join(",")).join("\n");

export default fe.widget("gap-explorer", (ctx) => {
  const names = ["steps", "shift", "strength", "alpha", "beta", "gain", "spread"];
  const settings = () => Object.fromEntries(names.map((name) => [name, ctx.get(name)]));
  let curves = curvesOf(settings());
  let scale = "linear";
  const last = () => curves.kappas.length - 1;
  const chosen = () => fe.clamp(Math.round(ctx.get("step") ?? 0), 0, last());

  const slider = (label, name, positions, more = {}) =>
    fe.slider(label, { positions, read: () => ctx.get(name), write: (value) => ctx.set({ [name]: value }), ...more });
  const sliders = [
    slider("Steps", "steps", STEPS),
    slider("Shift", "shift", fe.steps(0.5, 16, 31)),
    slider("Strength", "strength", fe.steps(0.05, 1, 19)),
    slider("alpha, the rate", "alpha", ALPHAS),
    slider("beta, the keyframe's share", "beta", fe.steps(0, 1, 20)),
    slider("Spread of the data, in D", "spread", fe.steps(0, 2, 40), { format: (value) => (value === 0 ? "0, ideal" : fe.number(value)) }),
  ];
  const gains = fe.segments("Gain", [["exact", "Exact gain"], ["euler", "Euler gain"]], ctx.get("gain"), (value) => ctx.set({ gain: value }));
  const scales = fe.segments("Scale of the gap", [["linear", "Gap"], ["log", "log |gap|"]], scale, (value) => {
    scale = value;
    scales.show(value);
    redraw();
  });
  const legend = fe.legend(CURVES);
  const plot = fe.el("div", { class: "fe-panels", tabindex: 0, role: "slider", "aria-label": "Step read out", "aria-valuemin": 0 });
  const readout = fe.el("div", { class: "fe-gapread" });
  const verdict = fe.el("p", { class: "fe-verdict" });
  const facts = fe.el("ul", { class: "fe-facts" });
  const details = fe.el("details", { class: "fe-more", ontoggle: () => showTable() }, fe.el("summary", {}, "All steps as a table"));
  const save = fe.button("Save all steps as CSV", () => fe.download("gap.csv", csvOf(curves)), { text: "CSV" });

  // Both panels share the horizontal axis: the gap above, the share taken away below.
  const draw = (width) => {
    const left = 52;
    const right = 12;
    const inner = width - left - right;
    const count = curves.kappas.length;
    const x = (i) => left + (inner * (i + 0.5)) / count;
    const panels = [{ top: 16, height: 180 }, { top: 228, height: 96 }];
    const upper = gapScale(panels[0]);
    const lower = bandScale(panels[1]);
    const svg = fe.svg("svg", { width, height: 352, role: "presentation" },
      gridOf(upper, left, width - right), bands(lower, left, inner, x(chosen())),
      gridOf(lower, left, width - right),
      fe.svg("text", { class: "fe-paneltext", x: left, y: 8 }, scale === "log" ? "size of the gap, in D (log)" : "gap after each step, in D"),
      fe.svg("text", { class: "fe-paneltext", x: left, y: panels[1].top - 8 }, width < 420 ? "share taken away, kappa (1 + beta)" : "share of the gap that a step takes away, kappa (1 + beta)"),
      CURVES.map((curve) => fe.svg("path", { d: pathOf(curves[curve.key], x, upper.y), fill: "none", style: `stroke:${curve.colour}`,
        "stroke-width": curve.width, "stroke-dasharray": curve.dash, "stroke-linejoin": "round", "data-curve": curve.key })).reverse(),
      curves.totals.map((total, i) => bar(i, total, x, lower, inner / count)),
      CURVES.map((curve) => fe.svg("circle", { cx: x(last()), cy: upper.y(curves[curve.key][last()]), r: 4, style: `fill:${curve.colour}` })).reverse(),
      stepTicks(count).map((i) => fe.svg("text", { class: "fe-paneltext", x: x(i), y: 338, "text-anchor": "middle" }, i)),
      fe.svg("text", { class: "fe-paneltext", x: width - right, y: 350, "text-anchor": "end" }, "step"),
      fe.svg("path", { class: "fe-gapcursor", d: panels.map(({ top, height }) => `M${x(chosen())} ${top}v${height}`).join("") }));
    plot.replaceChildren(svg);
    plot.onpointermove = plot.onpointerdown = (event) => {
      if (event.type === "pointermove" && event.pointerType !== "mouse") return;
      const at = Math.floor(((event.clientX - plot.getBoundingClientRect().left - left) / inner) * count);
      const step = fe.clamp(at, 0, last());
      if (step !== ctx.get("step")) ctx.set({ step });
    };
  };

  const gapScale = ({ top, height }) => {
    const values = CURVES.flatMap((curve) => curves[curve.key]).filter(Number.isFinite);
    if (scale === "log") {
      const sizes = values.map(Math.abs).filter((value) => value > 0);
      const low = Math.floor(Math.log10(fe.clamp(Math.min(...sizes, 1), 1e-12, 0.1)));
      const high = Math.max(Math.ceil(Math.log10(Math.max(...sizes, 1))), low + 1);
      const every = Math.ceil((high - low) / 5);
      const marks = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => low + i * every);
      const y = (value) => top + (height * (high - fe.clamp(Math.log10(Math.abs(value) || 1e-300), low, high))) / (high - low);
      return { top, height, y, marks: marks.map((power) => [10 ** power, power === 0 ? "1" : `1e${power}`.replace("-", "−")]) };
    }
    const low = Math.min(0, ...values);
    const high = Math.max(1, ...values);
    return { top, height, y: (value) => top + (height * (high - value)) / (high - low), marks: fe.axisTicks([low, high]).map((value) => [value, fe.number(value).replace("-", "−")]) };
  };
  const bandScale = ({ top, height }) => {
    const most = Math.max(...curves.totals);
    const high = most >= 1.6 ? fe.clamp(most * 1.05, 2.5, 4) : 1.7;
    return { top, height, high, y: (value) => top + (height * (high - Math.min(value, high))) / high,
      marks: [0, 1, 2, 3, 4].filter((value) => value <= high).map((value) => [value, String(value)]) };
  };
  const gridOf = ({ y, marks }, from, to) => marks.map(([value, text]) => [
    fe.svg("path", { class: "fe-gridline", d: `M${from} ${y(value)}H${to}` }),
    fe.svg("text", { class: "fe-paneltext", x: from - 8, y: y(value) + 4, "text-anchor": "end" }, text)]).flat();
  // The bands' names stand clear of the cursor.
  const bands = ({ y, high }, left, inner, cursor) => [["good", 0, 1, "closes"], ["warn", 1, 2, "overshoots"], ["bad", 2, high, "diverges"]]
    .filter(([, from]) => from < high).flatMap(([kind, from, to, word]) => {
      const room = y(from) - y(Math.min(to, high));
      return [fe.svg("rect", { class: `fe-band fe-band-${kind}`, x: left, width: inner, y: y(Math.min(to, high)), height: room }),
        room > 13 ? fe.svg("text", { class: `fe-bandname fe-word-${kind}`, x: (cursor < left + 90 ? cursor : left) + 6, y: y(Math.min(to, high)) + 12 }, word) : null];
    });
  const bar = (i, total, x, { y, high }, room) => {
    const kind = total >= 2 ? "bad" : total > 1 ? "warn" : "good";
    const wide = Math.max(1.5, Math.min(18, room * 0.62));
    return fe.svg("g", {}, fe.svg("rect", { class: `fe-gainbar fe-fill-${kind}`, x: x(i) - wide / 2, width: wide, y: y(total), height: y(0) - y(total) }),
      total > high ? fe.svg("path", { class: `fe-fill-${kind}`, d: `M${x(i)} ${y(high) - 7}l5 6h-10z` }) : null);
  };
  const pathOf = (values, x, y) => values.map((value, i) => (Number.isFinite(value) ? `${i && Number.isFinite(values[i - 1]) ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}` : "")).join("");
  const stepTicks = (count) => {
    const every = [1, 2, 5, 10, 20, 50].find((size) => count / size <= 10) ?? 50;
    return Array.from({ length: Math.ceil(count / every) }, (_, i) => i * every);
  };

  const showStep = () => {
    const i = chosen();
    const item = (name, value) => fe.el("span", {}, fe.el("span", { class: "fe-muted" }, name), ` ${value}`);
    readout.replaceChildren(fe.el("strong", {}, `step ${i} of ${last()}`), item("sigma", `${share(curves.sigmas[i])} → ${share(curves.sigmas[i + 1])}`),
      item("dt", share(curves.dts[i])), item("kappa", share(curves.kappas[i])), item("residual", share(curves.residuals[i])), item("gap", share(curves.corrected[i])));
    plot.setAttribute("aria-valuenow", i);
    plot.setAttribute("aria-valuemax", last());
    plot.setAttribute("aria-valuetext", `step ${i}, takes away ${share(curves.totals[i])}, gap ${share(curves.corrected[i])}`);
    ctx.root.dataset.step = i;
  };

  const showWords = () => {
    const { alpha, beta, gain, spread } = settings();
    const [end, lastEnd] = [curves.corrected[last()], curves.lastOnly[last()]];
    const widest = Math.max(...curves.dts);
    const limit = share(2 / (widest * (1 + beta)));
    const over = curves.totals.filter((total) => total > 1 && total < 2).length;
    const kind = curves.unstable.length ? "bad" : over ? "warn" : "good";
    const where = curves.unstable.length === 1 ? `at step ${curves.unstable[0]}` : `at ${curves.unstable.length} of ${last() + 1} steps`;
    verdict.dataset.kind = kind;
    verdict.textContent = gain === "exact"
      ? `Stable for every alpha: 1 − exp(−alpha (1 + beta) dt) never reaches 1.`
      : kind === "bad" ? `Diverges ${where}: alpha·dt·(1 + beta) reaches ${share(Math.max(...curves.totals))}, and it must stay under 2. On this grid alpha must stay under ${limit}.`
        : kind === "warn" ? `Overshoots at ${over} of ${last() + 1} steps, but the gap still shrinks. It would diverge from alpha = ${limit} on.`
          : `Stable: alpha·dt·(1 + beta) stays at or under ${share(Math.max(...curves.totals))}. It would diverge from alpha = ${limit} on.`;
    const same = Math.abs(end - lastEnd) <= 1e-9 * Math.max(1, Math.abs(end));
    facts.replaceChildren(
      fe.el("li", {}, `Final gap ${share(end)} D when every step is corrected; ${share(lastEnd)} D when only the last one is; ${share(curves.never[last()])} D without.`),
      fe.el("li", {}, spread === 0
        ? `Ideal field: ${same ? "every push but the last is forgotten; the two ends are equal" : "the two ends differ only by rounding"}, 1 − kappa (1 + beta) = ${share(1 - curves.totals[last()])}.`
        : alpha === 0 ? "No push, nothing to keep." : `The data have a spread of ${fe.number(spread)} D: the field reads from where it is and keeps part of each push. Set the spread to 0 to see it forget.`));
    return `${verdict.textContent} ${facts.firstChild.textContent}`;
  };

  const showTable = () => {
    details.querySelector(".fe-scroll")?.remove();
    if (!details.open) return;
    details.append(fe.table("Every step; gaps in units of D", COLUMNS, rowsOf(curves)));
  };

  let speaking = 0;
  const update = (spoken) => {
    curves = curvesOf(settings());
    sliders.forEach(({ show }) => show());
    gains.show(ctx.get("gain"));
    const words = showWords();
    showStep();
    showTable();
    redraw();
    ctx.root.dataset.unstable = curves.unstable.join(" ");
    clearTimeout(speaking);
    if (spoken) speaking = setTimeout(() => ctx.announce(words), 600);
  };

  const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 5, PageDown: -5, Home: -Infinity, End: Infinity };
  plot.addEventListener("keydown", (event) => {
    if (!(event.key in moves)) return;
    event.preventDefault();
    ctx.set({ step: fe.clamp(chosen() + moves[event.key], 0, last()) });
  });

  ctx.root.append(fe.el("div", { class: "fe-row fe-spaced" }, legend, scales.node), plot, readout, verdict, facts,
    fe.el("div", { class: "fe-row fe-spaced" }, gains.node, save), fe.el("div", { class: "fe-sliders" }, sliders.map(({ node }) => node)), details);
  const redraw = fe.onWidth(ctx, plot, draw);
  ctx.on(names, () => update(true));
  ctx.on("step", () => { showStep(); redraw(); });
  ctx.cleanup(() => clearTimeout(speaking));
  update(false);
});

// The gap between the main and the keyframe branch, from the closed form: equal to the Python loop.

const ALPHAS = [0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 25, 30, 40, 50, 75, 100];
const STEPS = [...fe.steps(1, 60, 59), 70, 80, 90, 100, 120, 150, 200];
const CURVES = [
  { key: "never", name: "never corrected", colour: "var(--fe-muted)", dash: "2 4" },
  { key: "lastOnly", name: "only at the last step", colour: "var(--fe-second)", dash: "8 4" },
  { key: "corrected", name: "corrected at every step" },
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

export default fe.widget("gap-explorer", (ctx) => {
  const names = ["steps", "shift", "strength", "alpha", "beta", "gain", "spread"];
  const settings = () => Object.fromEntries(names.map((name) => [name, ctx.get(name)]));
  let curves = curvesOf(settings());
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
  const pick = { onpick: (step) => ctx.set({ step }), describe: (step) => `step ${step}` };
  const gaps = fe.plot(ctx, { label: "Gap after each step", xLabel: "step", yLabel: "gap, in D", height: 220, ...pick });
  const taken = fe.plot(ctx, { label: "Share of the gap that a step takes away", xLabel: "step", yLabel: "kappa (1 + beta)", height: 150, ...pick });
  const readout = fe.el("div", { class: "fe-readout" });
  const verdict = fe.el("p", { class: "fe-verdict" });
  const facts = fe.el("ul", { class: "fe-facts" });

  const redraw = () => {
    const x = { whole: true, domain: last() ? [0, last()] : [-0.5, 0.5] };
    gaps.update({ x, cursor: chosen(), series: CURVES.map((curve) => ({ ...curve, points: curves[curve.key].map((gap, i) => [i, gap]) })) });
    const high = Math.max(1.5, 1.1 * Math.max(...curves.totals));
    taken.update({ x, y: { domain: [0, high] }, cursor: chosen(),
      series: [{ name: "takes away", dots: last() < 60, points: curves.totals.map((total, i) => [i, total]) }],
      bands: [["good", 0, 1], ["warn", 1, 2], ["bad", 2, high]].filter(([, from]) => from < high).map(([kind, from, to]) =>
        ({ from, to: Math.min(to, high), colour: `var(--fe-${kind})` })),
      lines: [{ y: 1, text: "overshoots above 1" }, { y: 2, text: "diverges from 2 on" }] });
  };

  const showStep = () => {
    const i = chosen();
    const item = (name, value) => fe.el("span", {}, fe.el("span", { class: "fe-muted" }, name), ` ${value}`);
    readout.replaceChildren(fe.el("strong", {}, `step ${i} of ${last()}`), item("sigma", `${share(curves.sigmas[i])} → ${share(curves.sigmas[i + 1])}`),
      item("dt", share(curves.dts[i])), item("kappa", share(curves.kappas[i])), item("residual", share(curves.residuals[i])), item("gap", share(curves.corrected[i])));
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
    facts.replaceChildren(
      fe.el("li", {}, `Final gap ${share(end)} D when every step is corrected; ${share(lastEnd)} D when only the last one is; ${share(curves.never[last()])} D without.`),
      fe.el("li", {}, spread === 0
        ? `Ideal field: every push but the last is forgotten; the two ends are equal, 1 − kappa (1 + beta) = ${share(1 - curves.totals[last()])}.`
        : alpha === 0 ? "No push, nothing to keep." : `The data have a spread of ${fe.number(spread)} D: the field reads from where it is and keeps part of each push. Set the spread to 0 to see it forget.`));
    return `${verdict.textContent} ${facts.firstChild.textContent}`;
  };

  let speaking = 0;
  const update = (spoken) => {
    curves = curvesOf(settings());
    sliders.forEach(({ show }) => show());
    gains.show(ctx.get("gain"));
    const words = showWords();
    showStep();
    redraw();
    ctx.root.dataset.unstable = curves.unstable.join(" ");
    clearTimeout(speaking);
    if (spoken) speaking = setTimeout(() => ctx.announce(words), 600);
  };

  ctx.root.append(fe.legend([...CURVES].reverse()), gaps.node, taken.node, readout, verdict, facts,
    gains.node, fe.el("div", { class: "fe-sliders" }, sliders.map(({ node }) => node)));
  // What is drawn, in full precision, for the tests.
  ctx.root.feValues = () => curves.kappas.map((kappa, i) =>
    [i, curves.sigmas[i], curves.dts[i], kappa, curves.residuals[i], curves.corrected[i], curves.lastOnly[i], curves.never[i]]);
  ctx.on(names, () => update(true));
  ctx.on("step", () => { showStep(); redraw(); });
  ctx.cleanup(() => clearTimeout(speaking));
  update(false);
});

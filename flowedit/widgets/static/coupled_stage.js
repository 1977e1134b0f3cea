// Five frames of a clip and one painted keyframe, each on its noise thread: the same arithmetic as flowedit.toy.stage.

const BOX = { left: -3.3, right: 3.3, bottom: -1.5, top: 2.6 };
const UNIT = 100; // pixels of the drawing's own grid
const SWITCHES = [["one_noise", "Noise", "one for both", "two"], ["shared_position", "Position", "shared", "appended"],
  ["corrected", "Correction", "on", "off"]];

const mix = (z, n, sigma) => z.map((value, axis) => (1 - sigma) * value + sigma * n[axis]);
const away = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// E[noise - data | x] of data that lie `spread` about a centre.
const fieldAt = (centre, spread, x, sigma) => {
  const variance = (1 - sigma) ** 2 * spread ** 2 + sigma ** 2;
  const gain = ((1 - sigma) * spread ** 2) / variance;
  return x.map((value, axis) => {
    const offset = value - (1 - sigma) * centre[axis];
    return (sigma / variance) * offset - (centre[axis] + gain * offset);
  });
};

// Every moment of the stage: { sigma, edit, main, key, gap }; `painted` 0 takes the paint off the keyframe.
const play = ({ source, style, slot, sigmas, kappas, spread, shares }, on, noises, painted = 1) => {
  const key = source[slot].map((value, axis) => value + painted * style[axis]);
  const noiseKey = on.one_noise ? noises[slot] : noises[source.length];
  const centre = (i) => source[i].map((value, axis) => value + shares[on.shared_position ? "shared" : "appended"][i] * painted * style[axis]);
  let edit = source;
  return sigmas.map((sigma, s) => {
    const main = edit.map((z, i) => z.map((value, axis) => value + mix(source[i], noises[i], sigma)[axis] - source[i][axis]));
    const moment = { sigma, edit, main, key: mix(key, noiseKey, sigma) };
    moment.gap = away(main[slot], moment.key);
    if (s === kappas.length) return moment;
    const dt = sigma - sigmas[s + 1];
    edit = edit.map((z, i) => {
      const target = fieldAt(centre(i), spread, main[i], sigma);
      const own = fieldAt(source[i], spread, mix(source[i], noises[i], sigma), sigma);
      return z.map((value, axis) => {
        let drift = target[axis] - own[axis];
        if (on.corrected && i === slot) {
          const vMain = drift + noises[i][axis] - source[i][axis];
          const r = main[i][axis] - moment.key[axis] - (vMain - (noiseKey[axis] - key[axis])) * dt;
          drift += (kappas[s] / dt) * r;
        }
        return value - dt * drift;
      });
    });
    return moment;
  });
};

export default fe.widget("coupled-stage", (ctx) => {
  const stage = ctx.get("stage");
  const { source, style, slot, kappas, draws } = stage;
  const last = kappas.length;
  const on = () => Object.fromEntries(SWITCHES.map(([name]) => [name, ctx.get(name)]));
  const seed = () => fe.clamp(ctx.get("seed"), 0, draws.length - 1);
  let [moments, ends] = [[], []];

  const [width, height] = [(BOX.right - BOX.left) * UNIT, (BOX.top - BOX.bottom) * UNIT];
  const at = ([x, y]) => [(x - BOX.left) * UNIT, (BOX.top - y) * UNIT];
  const plane = fe.svg("svg", { class: "fe-stageplane", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0 });
  const shape = (kind, name, more, text) => fe.svg(kind, { class: `fe-st-${name}`, ...more }, text);
  const line = (name, points) => shape("polyline", name, { points: points.map((point) => at(point).join()).join(" ") });
  const dot = (name, point, r) => shape("circle", name, { cx: at(point)[0], cy: at(point)[1], r });
  const diamond = (name, point, r) => {
    const [x, y] = at(point);
    return shape("path", name, { d: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z` });
  };
  const word = (name, point, text, dx = 0, dy = 0) =>
    shape("text", name, { x: at(point)[0] + dx, y: at(point)[1] + dy }, text);

  const switches = SWITCHES.map(([name, title, yes, no]) => {
    const parts = fe.segments(title, [[1, yes], [0, no]], Number(ctx.get(name)), (value) => ctx.set({ [name]: value === 1 }));
    return { name, show: parts.show, node: fe.el("div", { class: "fe-field" }, fe.el("span", {}, title), parts.node) };
  });
  const seeds = fe.slider("Draw of the noise", { positions: fe.steps(0, draws.length - 1, draws.length - 1), read: seed,
    write: (value) => ctx.set({ seed: value }) });
  const stepper = fe.stepper(ctx, { trait: "at", last: () => last, interval: () => 180, label: "Step", noun: "step" });
  const gaps = fe.plot(ctx, { label: "Gap between the keyframe and its frame", xLabel: "step", yLabel: "gap", height: 150,
    onpick: (step) => stepper.go(step), describe: (step) => `step ${step}` });
  const verdict = fe.el("p", { class: "fe-muted" });
  const clip = ctx.get("strips").frames ? fe.clip(ctx.get("strips"), () => showStrip()) : null;
  const strip = clip ? fe.canvas(clip, "Five frames of an edit by the small model") : null;
  const showStrip = () => clip?.draw(strip.pen, SWITCHES.reduce((sum, [name]) => 2 * sum + Number(ctx.get(name)), 0));

  const draw = () => {
    const now = moments[stepper.at()];
    const painted = source.map((z) => z.map((value, axis) => value + style[axis]));
    plane.replaceChildren(
      line("row", source), ...source.map((z) => dot("from", z, 5)), word("say", source[0], "source", -110, 5),
      line("row", painted), ...painted.map((z) => dot("from", z, 5)), word("say", painted[0], "exact edit", -122, 5),
      ...ends.map((end) => dot("end", end, 3.5)),
      ...source.map((_, i) => line("path", moments.slice(0, stepper.at() + 1).map(({ edit }) => edit[i]))),
      ...now.edit.flatMap((z, i) => [line("thread", [z, now.main[i]]), dot("noised", now.main[i], 6), dot("frame", z, 8)]),
      line("thread-key", [painted[slot], now.key]), diamond("noised-key", now.key, 8), diamond("key", painted[slot], 11),
      line("gap", [now.main[slot], now.key]), word("say", now.key, `gap ${now.gap.toFixed(2)}`, 14, 4));
  };
  const showAt = () => {
    const now = moments[stepper.at()];
    stepper.show(`step ${stepper.at()} of ${last}, sigma ${now.sigma.toFixed(2)}, gap ${now.gap.toFixed(2)}`);
    gaps.update({ cursor: stepper.at(), x: { whole: true }, y: { domain: [0, 2] },
      series: [{ name: "gap", points: moments.map(({ gap }, s) => [s, gap]) }] });
    draw();
  };
  const update = () => {
    moments = play(stage, on(), draws[seed()]);
    ends = draws.map((noises) => play(stage, on(), noises).at(-1).edit[slot]);
    const key = source[slot].map((value, axis) => value + style[axis]);
    const missed = Math.sqrt(mean(ends.map((end) => away(end, key) ** 2)));
    const strayed = Math.sqrt(mean(draws.map((noises) => away(play(stage, on(), noises, 0).at(-1).edit[slot], source[slot]) ** 2)));
    verdict.textContent = `Over ${draws.length} draws the keyframe's frame ends ${missed.toFixed(2)} from the painting (it began ${away(key, source[slot]).toFixed(2)} away). `
      + `With a keyframe that nobody painted, where nothing should move, it ends ${strayed.toFixed(2)} from its source.`;
    plane.setAttribute("aria-label", `Frames and keyframe in the plane. ${verdict.textContent}`);
    switches.forEach(({ name, show }) => show(Number(ctx.get(name))));
    seeds.show();
    showStrip();
    showAt();
    ctx.announce(verdict.textContent);
  };
  ctx.root.append(fe.el("div", { class: "fe-stagegrid" },
    fe.el("div", { class: "fe-side" }, plane, fe.el("div", { class: "fe-flowtime" }, stepper.buttons, stepper.slider)),
    fe.el("div", { class: "fe-side" }, switches.map(({ node }) => node), seeds.node, gaps.node, verdict)),
    ...(clip ? [fe.el("figure", { class: "fe-cell" }, strip.canvas, fe.el("figcaption", {}, ctx.get("strips").name))] : []));
  fe.onKeys(plane, stepper.keys);
  ctx.root.feValues = () => moments; // what is drawn, in full precision, for the tests
  ctx.cleanup(() => clip?.close());
  ctx.on(["seed", ...SWITCHES.map(([name]) => name)], update);
  ctx.on("at", showAt);
  update();
});

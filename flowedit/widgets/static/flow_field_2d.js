// Particles in the plane, moved by exact velocity fields: the same arithmetic as flowedit.toy.

const FINE_STEPS = 256; // Heun steps of the solution that errors are measured against
const STEPS = [...fe.steps(1, 40, 39), 45, 50, 60, 70, 80, 90, 100, 125, 150, 175, 200];
const SHIFTS = [0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 16];

// Posterior-weighted E[noise - data | x] of a mixture, and the density it has there.
const component = (mixture, k, x, y, sigma) => {
  const spread = mixture.spreads[k];
  const variance = (1 - sigma) ** 2 * spread * spread + sigma * sigma;
  const [mx, my] = mixture.means[k];
  const dx = x - (1 - sigma) * mx;
  const dy = y - (1 - sigma) * my;
  return { spread, variance, mx, my, dx, dy, logit: Math.log(mixture.weights[k]) - 0.5 * ((dx * dx + dy * dy) / variance + 2 * Math.log(variance)) };
};

const fieldOf = (mixture) => ([x, y], sigma) => {
  const parts = mixture.weights.map((_, k) => component(mixture, k, x, y, sigma));
  const top = Math.max(...parts.map(({ logit }) => logit));
  let [sum, vx, vy] = [0, 0, 0];
  for (const { spread, variance, mx, my, dx, dy, logit } of parts) {
    const weight = Math.exp(logit - top);
    const gain = ((1 - sigma) * spread * spread) / variance;
    sum += weight;
    vx += weight * ((sigma / variance) * dx - (mx + gain * dx));
    vy += weight * ((sigma / variance) * dy - (my + gain * dy));
  }
  return [vx / sum, vy / sum];
};

// The edit's velocity for one particle: v_target(z + x_source - source) - v_source(x_source).
const pointsOf = (edit, source, noise, sigma) => {
  const xSource = [(1 - sigma) * source[0] + sigma * noise[0], (1 - sigma) * source[1] + sigma * noise[1]];
  return { xSource, xTarget: [edit[0] + xSource[0] - source[0], edit[1] + xSource[1] - source[1]] };
};

const differenceOf = (vSource, vTarget, source, noise) => (edit, sigma) => {
  const { xSource, xTarget } = pointsOf(edit, source, noise, sigma);
  const [a, b] = [vTarget(xTarget, sigma), vSource(xSource, sigma)];
  return [a[0] - b[0], a[1] - b[1]];
};

const move = (x, v, sigma, next) => [x[0] + v[0] * (next - sigma), x[1] + v[1] * (next - sigma)];

// The path of one particle over the grid: Euler, or Heun with an Euler step where the grid ends at 0.
const pathOf = (solver, field, start, sigmas) => {
  const path = [start];
  for (let i = 0; i + 1 < sigmas.length; i += 1) {
    const [x, sigma, next] = [path[i], sigmas[i], sigmas[i + 1]];
    let v = field(x, sigma);
    if (solver === "heun" && next > 0) {
      const other = field(move(x, v, sigma, next), next);
      v = [(v[0] + other[0]) / 2, (v[1] + other[1]) / 2];
    }
    path.push(move(x, v, sigma, next));
  }
  return path;
};

const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

export default fe.widget("flow-field-2d", (ctx) => {
  const scenes = ctx.get("scenes");
  const noise = ctx.get("noise");
  if (![...["steps", "shift", "at", "pick"].map(ctx.get), ...noise.flat()].every(fe.isNumber)) throw new Error("its state holds no numbers");
  const scene = () => scenes[ctx.get("scene")];
  const editing = () => ctx.get("mode") === "edit";
  const stepper = fe.stepper(ctx, { trait: "at", last: () => ctx.get("steps"), label: "Step shown", noun: "step",
    interval: () => fe.clamp(2400 / ctx.get("steps"), 30, 240) });
  const { at } = stepper;
  const pick = () => fe.clamp(ctx.get("pick") ?? -1, -1, noise.length - 1);
  let paths = [];
  let sigmas = [];
  let fine = { key: "", ends: [] };

  const starts = () => (editing() ? scene().samples : noise);
  const fields = () => {
    const target = fieldOf(scene().target);
    if (!editing()) return noise.map(() => target);
    const source = fieldOf(scene().source);
    return noise.map((sample, i) => differenceOf(source, target, scene().samples[i], sample));
  };
  const run = (solver, steps) => {
    const grid = fe.wanSigmas(steps, 1, ctx.get("shift"));
    const list = fields();
    return starts().map((start, i) => pathOf(solver, list[i], start, grid));
  };
  const fineEnds = () => {
    const key = [ctx.get("scene"), ctx.get("mode"), ctx.get("shift")].join();
    if (fine.key !== key) fine = { key, ends: run("heun", FINE_STEPS).map((path) => path.at(-1)) };
    return fine.ends;
  };
  const errorOf = (list) => mean(list.map((path, i) => distance(path.at(-1), fineEnds()[i])));

  const canvas = fe.el("canvas", { class: "fe-plane", tabindex: 0, role: "img" });
  const pen = canvas.getContext("2d");
  const readout = fe.el("div", { class: "fe-readout" });
  const verdict = fe.el("p", { class: "fe-muted" });
  const write = (values) => { stepper.stop(); ctx.set(values); };
  const slider = (label, name, positions, more) => fe.slider(label, { positions, read: () => ctx.get(name),
    write: (value) => write({ [name]: value, ...(name === "steps" ? { at: value } : {}) }), ...more });
  const sliders = [slider("Steps", "steps", STEPS), slider("Shift", "shift", SHIFTS, { format: (value) => (value === 1 ? "1, even" : fe.number(value)) }),
    slider("Particle followed", "pick", fe.steps(-1, noise.length - 1, noise.length), { format: (value) => (value < 0 ? "none" : String(value)) })];
  const sceneField = fe.select("Scene", Object.entries(scenes).map(([name, { title }]) => [name, title]), ctx.get("scene"), (value) => write({ scene: value }));
  const modes = fe.segments("What moves", [["generate", "Noise to target"], ["edit", "Difference flow"]], ctx.get("mode"), (value) => write({ mode: value }));
  const solvers = fe.segments("Solver", [["euler", "Euler"], ["heun", "Heun"]], ctx.get("solver"), (value) => write({ solver: value }));
  const sourceKey = fe.el("li", {}, fe.el("i", { class: "fe-key-source" }), "source, where the edit starts");
  let [side, ratio, reach] = [0, 1, 3];
  // Half the side of the square that is drawn: room for both mixtures, and for the noise where it is the start.
  const reachOf = () => 1.08 * Math.max(1.5, ...[scene().source, scene().target].flatMap(({ means, spreads }) =>
    means.map((place, k) => Math.max(...place.map(Math.abs)) + 2.5 * spreads[k])), ...(editing() ? [] : noise.flat().map(Math.abs)));
  const px = ([x, y]) => [((x / reach + 1) * side) / 2, ((1 - y / reach) * side) / 2];
  const colour = (name) => getComputedStyle(ctx.root).getPropertyValue(`--fe-${name}`).trim();
  // Where a mixture's data lie at `sigma`: a glow about each mean.
  const shade = ({ weights, means, spreads }, sigma, tint) => means.forEach(([x, y], k) => {
    const spread = Math.hypot((1 - sigma) * Math.max(spreads[k], 0.12), sigma); // a point has no area
    const [left, top] = px([(1 - sigma) * x, (1 - sigma) * y]);
    const glow = pen.createRadialGradient(left, top, 0, left, top, (2.5 * spread * side) / (2 * reach));
    [["70", 0], ["40", 0.4], ["12", 0.75], ["00", 1]].forEach(([alpha, stop]) => glow.addColorStop(stop, tint + alpha));
    pen.globalAlpha = Math.sqrt(weights[k] / Math.max(...weights));
    pen.fillStyle = glow;
    pen.fillRect(0, 0, side, side);
    pen.globalAlpha = 1;
  });
  const line = (points, { style, width = 1, alpha = 1, dash = [] }) => {
    pen.globalAlpha = alpha;
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.setLineDash(dash);
    pen.beginPath();
    points.forEach((point, i) => (i ? pen.lineTo(...px(point)) : pen.moveTo(...px(point))));
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  };
  const dot = (point, radius, fill, ring) => {
    pen.beginPath();
    pen.arc(...px(point), radius, 0, 2 * Math.PI);
    if (fill) { pen.fillStyle = fill; pen.fill(); }
    if (ring) { pen.strokeStyle = ring; pen.lineWidth = 1.5; pen.stroke(); }
  };
  const arrow = (from, to, style, width = 1.6, alpha = 1) => {
    line([from, to], { style, width, alpha });
    const [a, b] = [px(from), px(to)];
    const turn = Math.atan2(b[1] - a[1], b[0] - a[0]);
    const head = Math.min(8, distance(a, b) / 2);
    pen.globalAlpha = alpha;
    pen.fillStyle = style;
    pen.beginPath();
    pen.moveTo(...b);
    for (const wing of [2.7, -2.7]) pen.lineTo(b[0] + head * Math.cos(turn + wing), b[1] + head * Math.sin(turn + wing));
    pen.fill();
    pen.globalAlpha = 1;
  };
  const drawField = (sigma, ink) => {
    const field = fieldOf(scene().target);
    const count = side < 360 ? 11 : 15;
    for (let i = 0; i < count * count; i += 1) {
      const point = [(((i % count) + 0.5) / count * 2 - 1) * reach, ((Math.floor(i / count) + 0.5) / count * 2 - 1) * reach];
      const v = field(point, Math.max(sigma, 0.02)); // at 0 a point mass has no velocity
      const size = Math.hypot(...v);
      const length = ((0.8 * reach) / count) * Math.min(1, size / 3) / (size || 1);
      arrow([point[0] + v[0] * length, point[1] + v[1] * length], [point[0] - v[0] * length, point[1] - v[1] * length], ink, 1, 0.5);
    }
  };
  // One particle's construction: where the two fields are read, and what each says, as motion towards data.
  const drawPick = (k, sigma, tints) => {
    const here = paths[k][at()];
    line(paths[k], { style: tints.ink, width: 1.5 });
    paths[k].forEach((point) => dot(point, 2, tints.ink));
    if (editing() && at() < ctx.get("steps")) {
      const source = scene().samples[k];
      const { xSource, xTarget } = pointsOf(here, source, noise[k], sigma);
      line([source, xSource], { style: tints.second, dash: [4, 3] });
      line([here, xTarget], { style: tints.accent, dash: [4, 3] });
      const along = (point, v) => [point[0] - 0.35 * v[0], point[1] - 0.35 * v[1]];
      arrow(xSource, along(xSource, fieldOf(scene().source)(xSource, sigma)), tints.second, 2);
      arrow(xTarget, along(xTarget, fieldOf(scene().target)(xTarget, sigma)), tints.accent, 2);
      dot(source, 4, null, tints.second);
      dot(xSource, 4, tints.second);
      dot(xTarget, 4, tints.accent);
      label("x source", xSource, tints.second);
      label("x target", xTarget, tints.accent);
    }
    dot(here, 6, tints.accent, tints.ink);
  };
  const label = (text, point, style) => {
    const [x, y] = px(point);
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 3;
    pen.strokeStyle = colour("field");
    pen.fillStyle = style;
    const left = fe.clamp(x + 8, 2, side - pen.measureText(text).width - 4);
    pen.strokeText(text, left, fe.clamp(y - 6, 10, side - 4));
    pen.fillText(text, left, fe.clamp(y - 6, 10, side - 4));
  };
  const draw = () => {
    if (!side) return;
    const tints = { accent: colour("accent"), second: colour("second"), ink: getComputedStyle(ctx.root).color };
    const sigma = sigmas[at()];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, side, side);
    if (editing()) shade(scene().source, 0, tints.second);
    shade(scene().target, editing() ? 0 : sigma, tints.accent);
    if (!editing()) drawField(sigma, tints.ink);
    paths.forEach((path) => line(path.slice(0, at() + 1), { style: tints.ink, alpha: 0.22 }));
    if (editing()) paths.forEach((path) => dot(path[0], 1.6, tints.second));
    paths.forEach((path) => dot(path[at()], 2.8, tints.accent, colour("field")));
    if (pick() >= 0) drawPick(pick(), sigma, tints);
  };
  const resize = () => {
    const next = Math.floor(canvas.getBoundingClientRect().width);
    if (!next) return;
    [side, ratio] = [next, Math.min(devicePixelRatio || 1, 2)];
    canvas.width = canvas.height = side * ratio;
    draw();
  };

  const showAt = () => {
    const [i, steps] = [at(), ctx.get("steps")];
    const moved = mean(paths.map((path) => distance(path[i], path[0])));
    const words = `step ${i} of ${steps}, sigma ${sigmas[i].toFixed(3)}`;
    stepper.show(words);
    readout.replaceChildren(...[words.split(", ")[0], words.split(", ")[1], `moved ${moved.toFixed(3)} on average`].map((text) => fe.el("span", {}, text)));
    ctx.root.dataset.at = i;
    draw();
  };
  const update = () => {
    const steps = ctx.get("steps");
    sigmas = fe.wanSigmas(steps, 1, ctx.get("shift"));
    paths = run(ctx.get("solver"), steps);
    reach = reachOf();
    const error = errorOf(paths);
    const moved = mean(paths.map((path) => distance(path.at(-1), path[0])));
    verdict.textContent = `With ${steps} ${ctx.get("solver") === "heun" ? "Heun" : "Euler"} ${steps === 1 ? "step" : "steps"} the particles end ${fe.number(error)} from a fine solution on average`
      + (editing() && moved < 1e-9 ? ", exactly where they began: equal fields are the identity." : ".");
    canvas.setAttribute("aria-label", `${scene().title}, ${editing() ? "source to target" : "noise to target"}. ${verdict.textContent} Arrow keys step, space plays.`);
    sceneField.querySelector("select").value = ctx.get("scene");
    modes.show(ctx.get("mode"));
    solvers.show(ctx.get("solver"));
    sourceKey.hidden = !editing();
    showAt();
    ctx.announce(verdict.textContent);
  };
  const showSliders = () => sliders.forEach(({ show }) => show());

  fe.onKeys(canvas, stepper.keys);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const point = [event.clientX - box.left, event.clientY - box.top];
    const found = paths.map((path, k) => [distance(px(path[at()]), point), k]).sort((a, b) => a[0] - b[0])[0];
    ctx.set({ pick: found[0] < 24 ? found[1] : -1 });
  });

  ctx.root.append(fe.el("div", { class: "fe-flowgrid" },
    fe.el("div", { class: "fe-flowstage" }, canvas,
      fe.el("div", { class: "fe-flowtime" }, stepper.buttons, stepper.slider), readout),
    fe.el("div", { class: "fe-flowside" }, sceneField, modes.node, solvers.node,
      fe.el("div", { class: "fe-sliders" }, sliders.map(({ node }) => node)), verdict,
      fe.el("ul", { class: "fe-flowkey" },
        fe.el("li", {}, fe.el("i", { class: "fe-key-target" }), "target, and the particles"), sourceKey))));
  ctx.root.feValues = () => paths; // what is drawn, in full precision, for the tests
  const observer = new ResizeObserver(resize);
  observer.observe(canvas);
  ctx.cleanup(() => observer.disconnect());
  ctx.onTheme(draw);
  ctx.on(["scene", "mode", "solver", "steps", "shift"], update);
  ctx.on("at", showAt);
  ctx.on("pick", draw);
  ctx.on(["steps", "shift", "pick"], showSliders);
  update();
});

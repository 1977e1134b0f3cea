// SVG plots drawn at their real size: axes, lines, a cursor for pointer and keyboard, a colour ramp for heat maps.

fe.READINGS = [["gap_norm", "gap left"], ["r_k_norm", "r_k"], ["v_diff_norm", "v_diff"], ["delta_v_norm", "Δv"]];

// Dark to light in lightness alone, readable with every common colour vision (after cividis: Nuñez et al. 2018).
fe.RAMP = [[0, 34, 78], [35, 62, 108], [87, 93, 109], [124, 123, 120], [166, 157, 117], [211, 193, 100], [254, 232, 56]];

fe.ramp = (share) => {
  const place = fe.clamp(share, 0, 1) * (fe.RAMP.length - 1);
  const low = Math.min(Math.floor(place), fe.RAMP.length - 2);
  const mixed = fe.RAMP[low].map((value, i) => Math.round(value + (place - low) * (fe.RAMP[low + 1][i] - value)));
  return `rgb(${mixed.join(",")})`;
};

// The range of finite values, widened when it is empty.
fe.domain = (values) => {
  const good = values.filter(fe.isNumber);
  if (!good.length) return [0, 1];
  const [low, high] = [Math.min(...good), Math.max(...good)];
  return low < high ? [low, high] : [low - 0.5 * Math.max(Math.abs(low), 1), high + 0.5 * Math.max(Math.abs(high), 1)];
};

// The range of a reading: from 0 to 1 for every run, so that 0.08 never looks like 1; only larger values stretch it.
fe.readingDomain = (values, top = 1) => [0, Math.max(top, fe.roundDomain(fe.domain([0, ...values]))[1])];

// Maps a value to [0, 1]; null where it has no place on the scale.
fe.scale = ([low, high]) => (value) => (fe.isNumber(value) ? (value - low) / (high - low) : null);

// Round tick values inside a range, at most about `most`.
fe.axisTicks = ([low, high], most = 5) => {
  const rough = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((size) => size >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high + 1e-9 * step; tick += 1) found.push(Number((tick * step).toPrecision(12)));
  return found;
};

// The range with both ends moved out to a tick, so that no value lies beyond the last number of the axis.
fe.roundDomain = ([low, high], most = 5) => {
  const ticks = fe.axisTicks([low, high], most);
  if (ticks.length < 2) return [low, high];
  const step = ticks[1] - ticks[0];
  const out = (value) => Number(value.toPrecision(12));
  return [out(step * Math.floor(low / step + 1e-9)), out(step * Math.ceil(high / step - 1e-9))];
};

// Moves the heights of labels apart so that neighbours keep `gap` within [top, bottom]; `wanted` is in rising order.
fe.spreadOut = (wanted, gap, top, bottom) => {
  const at = [];
  wanted.forEach((y, i) => at.push(Math.max(y, i ? at[i - 1] + gap : top)));
  for (let i = at.length - 1; i >= 0; i -= 1) at[i] = Math.min(at[i], i === at.length - 1 ? bottom : at[i + 1] - gap);
  return at;
};

// Calls `draw(width)` at first, when the box changes width and when the theme changes.
fe.onWidth = (ctx, box, draw) => {
  let last = 0;
  const observer = new ResizeObserver(() => {
    const width = Math.round(box.clientWidth);
    if (width > 0 && width !== last) {
      last = width;
      draw(width);
    }
  });
  observer.observe(box);
  ctx.cleanup(() => observer.disconnect());
  return () => last > 0 && draw(last);
};

const TAG = 6.2; // pixels of a letter of a tag, about
const TAG_HEIGHT = 12;
const MOST_ROWS = 12; // of a cursor's text; beyond, faint lines are left out of it

// A line plot. `update({ series, x, y, bands, lines, cursor })` draws:
//   series: [{ name, points: [[x, y], ...], colour, dash, faint, dots, tag }]; a y that is not a number breaks the line;
//   a tag is written at the line's end (those of faint lines where there is room)
//   x: { domain, whole } and y: { domain }, all optional (whole: tick only integers); bands: [{ from, to, colour }] and lines: [{ y, text }] across the plot
//   cursor: the x value marked. Arrow keys read the values out, and with `onpick(x)` they and a click pick one;
//   `describe(x)` names it for the cursor's text.
fe.plot = (ctx, { label, xLabel, yLabel, height = 220, onpick, describe = (x) => fe.number(x) }) => {
  const box = fe.el("div", { class: "fe-plot", tabindex: 0, role: "slider", "aria-label": label });
  const tip = fe.el("div", { class: "fe-tip", hidden: true, "aria-hidden": "true" });
  const edge = { left: 56, right: 12, top: 10, bottom: 36 };
  let now = { series: [] };
  let grid = null;
  let spot = null; // the x last read out by key, where nothing is picked

  const draw = (width) => {
    const points = now.series.flatMap((line) => line.points);
    const xDomain = now.x?.domain ?? fe.domain(points.map(([x]) => x));
    const yValues = [...points.map(([, y]) => y), ...(now.lines ?? []).map((line) => line.y)];
    const yDomain = now.y?.domain ?? fe.roundDomain(fe.domain([0, ...yValues]));
    const tagged = now.series.filter((line) => line.tag && line.points.some(([, y]) => fe.isNumber(y)));
    edge.right = tagged.length ? 12 + TAG * Math.max(...tagged.map((line) => line.tag.length)) : 12;
    const [sx, sy] = [fe.scale(xDomain), fe.scale(yDomain)];
    const px = (x) => edge.left + sx(x) * (width - edge.left - edge.right);
    const py = (y) => height - edge.bottom - sy(y) * (height - edge.top - edge.bottom);
    grid = { px, py, xs: [...new Set(points.map(([x]) => x))].sort((a, b) => a - b) };
    const svg = fe.svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    const right = width - edge.right;
    const inside = ({ y }) => sy(y) !== null && sy(y) >= -1e-9 && sy(y) <= 1 + 1e-9;
    for (const band of now.bands ?? []) {
      const [top, bottom] = [py(fe.clamp(band.to, ...yDomain)), py(fe.clamp(band.from, ...yDomain))];
      svg.append(fe.svg("rect", { x: edge.left, y: top, width: right - edge.left, height: Math.max(0, bottom - top), fill: band.colour, opacity: 0.14 }));
    }
    for (const y of fe.axisTicks(yDomain)) {
      svg.append(fe.svg("line", { class: "fe-gridline", x1: edge.left, x2: right, y1: py(y), y2: py(y) }),
        fe.svg("text", { class: "fe-ticktext", x: edge.left - 6, y: py(y) + 4, "text-anchor": "end" }, fe.number(y)));
    }
    const xTicks = fe.axisTicks(xDomain, Math.max(2, Math.floor(width / 90))).filter((x) => !now.x?.whole || Number.isInteger(x));
    for (const x of xTicks) {
      svg.append(fe.svg("text", { class: "fe-ticktext", x: px(x), y: height - edge.bottom + 15, "text-anchor": "middle" }, fe.number(x)));
    }
    svg.append(fe.svg("line", { class: "fe-axis", x1: edge.left, x2: right, y1: height - edge.bottom, y2: height - edge.bottom }),
      fe.svg("text", { class: "fe-axistext", x: (edge.left + right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel),
      fe.svg("text", { class: "fe-axistext", transform: `translate(11 ${(height - edge.bottom + edge.top) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
    for (const line of (now.lines ?? []).filter(inside)) {
      svg.append(fe.svg("line", { class: "fe-rule", x1: edge.left, x2: right, y1: py(line.y), y2: py(line.y) }),
        fe.svg("text", { class: "fe-ruletext", x: edge.left + 6, y: py(line.y) - 4 }, line.text));
    }
    for (const line of now.series) svg.append(...drawSeries(line, px, py, sx, sy));
    svg.append(...drawTags(tagged, px, py));
    if (fe.isNumber(now.cursor)) svg.append(fe.svg("line", { class: "fe-cursor", x1: px(now.cursor), x2: px(now.cursor), y1: edge.top, y2: height - edge.bottom }));
    box.replaceChildren(svg, tip);
    showPlace();
  };

  // Names at the ends of the lines, moved apart; where there are too many, only some of the faint lines' are written.
  const drawTags = (tagged, px, py) => {
    const every = Math.ceil((tagged.length * TAG_HEIGHT) / (height - edge.top - edge.bottom));
    const ends = tagged.filter((line, i) => !line.faint || i % every === 0)
      .map((line) => ({ line, end: line.points.findLast(([, y]) => fe.isNumber(y)) }))
      .sort((a, b) => py(a.end[1]) - py(b.end[1]));
    const heights = fe.spreadOut(ends.map(({ end }) => py(end[1])), TAG_HEIGHT, edge.top, height - edge.bottom);
    return ends.flatMap(({ line, end }, i) => [
      fe.svg("line", { class: "fe-tagline", x1: px(end[0]) + 2, y1: py(end[1]), x2: px(end[0]) + 7, y2: heights[i] }),
      fe.svg("text", { class: "fe-tag", x: px(end[0]) + 9, y: heights[i] + 4, "data-faint": line.faint || null, "data-tag": line.name,
        style: line.faint ? null : `fill:${line.colour ?? "var(--fe-accent)"}` }, line.tag)]);
  };

  // Where the plot stands, for a reader who moves over it by key.
  const place = () => (onpick && fe.isNumber(now.cursor) ? now.cursor : spot ?? now.cursor ?? null);
  const showPlace = () => {
    const { xs } = grid;
    const x = xs.includes(place()) ? place() : xs[0];
    if (x === undefined) {
      ["aria-valuemin", "aria-valuemax"].forEach((name) => box.removeAttribute(name));
      box.setAttribute("aria-valuenow", 0);
      box.setAttribute("aria-valuetext", "nothing to show");
      return;
    }
    box.setAttribute("aria-valuemin", xs[0]);
    box.setAttribute("aria-valuemax", xs.at(-1));
    box.setAttribute("aria-valuenow", x);
    box.setAttribute("aria-valuetext", textAt(x).join(", "));
  };

  const drawSeries = (line, px, py, sx, sy) => {
    const style = { stroke: line.colour ?? "var(--fe-accent)", fill: "none", "stroke-width": line.faint ? 1 : 2,
      "stroke-dasharray": line.dash, opacity: line.faint ? 0.45 : 1, "stroke-linejoin": "round" };
    let path = "";
    let pen = "M";
    const dots = [];
    line.points.forEach(([x, y], i) => {
      if (sx(x) === null || sy(y) === null) { pen = "M"; return; }
      path += `${pen}${px(x).toFixed(1)} ${py(y).toFixed(1)}`;
      const alone = pen === "M" && sy(line.points[i + 1]?.[1]) === null;
      if (line.dots || alone) dots.push(fe.svg("circle", { cx: px(x), cy: py(y), r: 3, fill: style.stroke, opacity: style.opacity }));
      pen = "L";
    });
    return [fe.svg("path", { d: path, ...style, "data-series": line.name }), ...dots];
  };

  const textAt = (x) => {
    const named = now.series.filter((line) => line.name && (!line.faint || now.series.length <= MOST_ROWS));
    const rows = named.map((line) => {
      const point = line.points.find(([other]) => other === x);
      return point ? `${line.name}: ${fe.number(point[1])}` : null;
    });
    return [describe(x), ...rows.filter(Boolean)];
  };
  const point = (x) => {
    const rows = textAt(x);
    tip.replaceChildren(...rows.map((row) => fe.el("div", {}, row)));
    tip.hidden = false;
    const left = grid.px(x);
    tip.style.left = `${fe.clamp(left + 10, 0, Math.max(0, box.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${edge.top}px`;
    return rows;
  };
  const nearest = (event) => {
    const at = event.clientX - box.getBoundingClientRect().left;
    return grid?.xs.reduce((best, x) => (best === null || Math.abs(grid.px(x) - at) < Math.abs(grid.px(best) - at) ? x : best), null) ?? null;
  };
  box.addEventListener("pointermove", (event) => { const x = nearest(event); if (x !== null) point(x); });
  box.addEventListener("pointerleave", () => { tip.hidden = true; });
  box.addEventListener("blur", () => { tip.hidden = true; });
  if (onpick) box.addEventListener("click", (event) => { const x = nearest(event); if (x !== null) onpick(x); });
  fe.onKeys(box, fe.moves((by) => {
    if (!grid?.xs.length) return;
    spot = grid.xs[fe.clamp(grid.xs.indexOf(place()) + by, 0, grid.xs.length - 1)];
    onpick?.(spot);
    showPlace();
    point(spot);
  }));
  const redraw = fe.onWidth(ctx, box, draw);
  return { node: box, update(next) { now = next; redraw(); } };
};

// A legend that does not rely on colour alone: a sample of each line with its name.
fe.legend = (series) =>
  fe.el("div", { class: "fe-legend" }, series.map((line) => fe.el("span", {},
    fe.svg("svg", { width: 22, height: 8, "aria-hidden": "true" }, fe.svg("line", { x1: 1, x2: 21, y1: 4, y2: 4, stroke: line.colour ?? "var(--fe-accent)", "stroke-width": 2, "stroke-dasharray": line.dash })),
    line.name)));

// Colours and dashes for up to eight lines told apart without colour.
fe.lineStyle = (i) => ({
  colour: ["var(--fe-accent)", "var(--fe-second)", "var(--fe-good)", "var(--fe-warn)"][i % 4],
  dash: [null, "6 3", "2 3", "8 3 2 3"][Math.floor(i / 4 + (i % 4)) % 4],
});

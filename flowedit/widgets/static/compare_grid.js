// Rows of a benchmark as clips that move in step, with their numbers, sortable by any of them.

export default fe.widget("compare-grid", (ctx) => {
  const rows = ctx.get("rows");
  const names = ctx.get("metrics");
  const better = ctx.get("better");
  const players = rows.map((row) => fe.clip(row.clip, () => draw()));
  const transport = fe.transport(ctx, { count: players[0].frames, fps: ctx.get("fps"), marks: ctx.get("keyframes"),
    load: () => Promise.all(players.map((player) => player.all(transport.index()))), draw: (index) => draw(index),
    shown: () => sorted().map((i) => [cards[i].canvas, `${rows[i].name}  ${cards[i].value.textContent}`]) });

  const bestOf = (name) => {
    const values = rows.filter((row) => !row.reference).map((row) => row.metrics[name]).filter(fe.isNumber);
    if (!better[name] || !values.length) return null;
    return better[name] === "high" ? Math.max(...values) : Math.min(...values);
  };
  const best = Object.fromEntries(names.map((name) => [name, bestOf(name)]));
  const isBest = (row, name) => !row.reference && best[name] !== null && row.metrics[name] === best[name];
  const sorted = () => {
    const [name, direction] = ctx.get("sort");
    const order = rows.map((_, i) => i);
    if (!name) return order;
    const value = (i) => (name === "name" ? rows[i].name : rows[i].metrics[name]);
    const sign = direction === "down" ? -1 : 1;
    const missing = (i) => value(i) === null || value(i) === undefined;
    // References stay in front and missing values at the end, whichever way it is sorted.
    return order.sort((a, b) => Number(rows[b].reference) - Number(rows[a].reference) || Number(missing(a)) - Number(missing(b))
      || (missing(a) ? 0 : sign * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0)) || a - b);
  };
  const sortBy = (name) => {
    const [current, direction] = ctx.get("sort");
    const start = name === "name" || better[name] === "low" ? "up" : "down";
    ctx.set({ sort: [name, current === name ? (direction === "up" ? "down" : "up") : start] });
    ctx.announce(`Sorted by ${ctx.get("sort").join(", ")}`);
  };

  const cards = rows.map((row, i) => {
    const { canvas, pen } = fe.canvas(players[i], row.name);
    const value = fe.el("span", { class: "fe-cardvalue" });
    return { canvas, pen, value, node: fe.el("figure", { class: "fe-cell", "data-row": i }, canvas, fe.el("figcaption", {}, row.name, value)) };
  });
  const grid = fe.el("div", { class: "fe-cards" });
  const head = ["name", ...names].map((name) => {
    const arrow = fe.el("span", { "aria-hidden": "true" });
    const hint = better[name] ? `, ${better[name]} is better` : "";
    const button = fe.el("button", { type: "button", class: "fe-sort", title: `Sort by ${name}${hint}`, onclick: () => sortBy(name) }, name, arrow);
    return { name, arrow, button };
  });
  const table = fe.table("Numbers of every row; ★ marks the best of a column that has a better direction", head.map(({ button }) => button), []);

  const draw = (index = transport.index()) => {
    if (cards.map((card, i) => players[i].draw(card.pen, index)).every(Boolean)) ctx.root.dataset.drawn = index;
  };
  const show = () => {
    const order = sorted();
    const [name, direction] = ctx.get("sort");
    head.forEach((column) => {
      const on = column.name === name;
      column.button.parentElement.setAttribute("aria-sort", on ? (direction === "up" ? "ascending" : "descending") : "none");
      column.arrow.textContent = on ? (direction === "up" ? " ▲" : " ▼") : "";
    });
    table.querySelector("tbody").replaceChildren(...order.map((i) => fe.el("tr", {}, fe.el("td", {}, rows[i].name), names.map((key) =>
      fe.el("td", { "data-best": isBest(rows[i], key) }, `${isBest(rows[i], key) ? "★ " : ""}${fe.number(rows[i].metrics[key])}`)))));
    const key = names.includes(name) ? name : names[0];
    cards.forEach((card, i) => {
      const known = key in rows[i].metrics;
      card.value.textContent = known ? `${key} ${fe.number(rows[i].metrics[key])}${isBest(rows[i], key) ? " ★" : ""}` : "";
    });
    grid.replaceChildren(...order.map((i) => cards[i].node));
    ctx.root.dataset.order = order.join(",");
  };
  ctx.root.style.setProperty("--fe-card", `${fe.clamp(players[0].width, 150, 260)}px`);
  ctx.root.append(grid, transport.node, table);
  ctx.on("index", () => draw());
  ctx.on("sort", show);
  ctx.cleanup(() => players.forEach((player) => player.close()));
  show();
  draw();
  players.forEach((player) => player.all(transport.index()));
});

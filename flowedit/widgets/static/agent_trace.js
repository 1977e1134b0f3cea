// A styling run replayed node by node: what ran, for how long, what it was told, what it cost, what it made.

const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isTable = (value) => Array.isArray(value) && value.length > 0 && value.every(isRecord);

// A value of a record in words: lists by their items, what has a kind or a name by that.
const inWords = (value) => {
  if (Array.isArray(value)) return value.length ? value.map(inWords).join(", ") : "none";
  if (isRecord(value)) {
    const title = value.kind ?? value.name;
    return typeof title === "string" ? title : Object.entries(value).map(([name, one]) => `${name} ${inWords(one)}`).join(", ") || "none";
  }
  return typeof value === "string" ? value : typeof value === "boolean" ? (value ? "yes" : "no") : fe.number(value);
};

// A list of records as a table without the columns that nobody filled; the sentences inside its cells stand below it.
const recordTable = (name, records) => {
  const columns = [...new Set(records.flatMap(Object.keys))].filter((column) => records.some((record) => (record[column] ?? null) !== null));
  const cell = (value) => (fe.isNumber(value) || value === undefined || value === null ? value : inWords(value));
  const sentences = records.flatMap((record) => Object.values(record).filter(isTable).flat().filter(({ text }) => text)
    .map(({ text }) => `${columns[0]} ${inWords(record[columns[0]])}: ${text}`));
  return fe.el("div", { class: "fe-records" }, fe.table(name, columns, records.map((record) => columns.map((column) => cell(record[column])))),
    sentences.length ? fe.el("ul", {}, sentences.map((text) => fe.el("li", {}, text))) : null);
};

export default fe.widget("agent-trace", (ctx) => {
  const events = ctx.get("events");
  const last = events.length - 1;
  if (last < 0) {
    ctx.root.append(fe.el("p", { class: "fe-message" }, "Nothing was recorded yet."));
    return;
  }
  const stepper = fe.stepper(ctx, { trait: "position", last: () => last, interval: () => 900, label: "Event", noun: "event" });
  const { at: position, go } = stepper;
  const seconds = events.map((event) => event.seconds ?? 0);
  const total = seconds.reduce((sum, value) => sum + value, 0) || 1;
  const before = seconds.map((_, i) => seconds.slice(0, i).reduce((sum, value) => sum + value, 0));
  const nameOf = (event) => (event.keyframe === null ? event.node : `${event.node} ${event.keyframe}`);
  const MARK = { done: "✓", failed: "✕", waiting: "…" };

  const rows = events.map((event, i) => fe.el("li", {}, fe.el("button", { type: "button", class: "fe-event", "data-outcome": event.outcome,
    onclick: () => go(i) },
  fe.el("span", { class: "fe-outcome", "aria-label": event.outcome }, MARK[event.outcome] ?? "?"), fe.el("span", { class: "fe-eventname" },
    fe.el("span", { class: "fe-node" }, event.node), event.keyframe === null ? null : [" ", fe.el("span", { class: "fe-frameno" }, String(event.keyframe))]),
  fe.el("span", { class: "fe-seconds" }, event.outcome === "waiting" ? "waiting" : fe.duration(seconds[i])))));
  const list = fe.el("ol", { class: "fe-events" }, rows);
  const detail = fe.el("div", { class: "fe-detail", "aria-live": "polite" });

  const move = (by) => () => {
    stepper.step(by);
    rows[position()].firstElementChild.focus();
  };
  fe.onKeys(list, { ArrowDown: move(1), ArrowRight: move(1), ArrowUp: move(-1), ArrowLeft: move(-1), PageDown: move(5), PageUp: move(-5),
    Home: move(-Infinity), End: move(Infinity) });
  const transport = fe.el("div", { class: "fe-transport" }, fe.el("div", { class: "fe-buttons" }, stepper.buttons), stepper.slider);

  const sum = (upTo, name) => events.slice(0, upTo + 1).reduce((all, event) => all + (event.usage[name] ?? 0), 0);
  const totals = fe.el("output", { class: "fe-readout" });
  const words = (text) => fe.el("pre", { class: "fe-words", tabindex: 0 }, text);
  const drawDetail = (event) => {
    const { calls = 0, tokens_in: sent = 0, tokens_out: received = 0, usd = 0 } = event.usage;
    const tables = Object.entries(event.values).filter(([, value]) => isTable(value));
    const values = Object.entries(event.values).filter(([, value]) => !isTable(value));
    detail.replaceChildren(
      fe.el("div", { class: "fe-row" }, fe.el("strong", {}, nameOf(event)), fe.el("span", { class: "fe-muted" },
        `${event.outcome}, ${fe.duration(event.seconds)}${calls || sent || received ? `, ${calls} calls, ${sent} tokens in, ${received} out, $${usd.toFixed(4)}` : ", no call to a model"}`)),
      ...event.notes.map((note) => fe.el("p", { class: "fe-message" }, note)),
      event.pictures.length ? fe.el("div", { class: "fe-pictures" }, event.pictures.map((picture) =>
        fe.el("figure", { class: "fe-cell" }, fe.el("img", { src: ctx.get("pictures")[picture.key], alt: picture.name }), fe.el("figcaption", {}, picture.name)))) : "",
      values.length ? fe.el("dl", { class: "fe-scores" }, values.map(([name, value]) => fe.el("div", {}, fe.el("dt", {}, name), fe.el("dd", {}, inWords(value))))) : "",
      ...tables.map(([name, records]) => recordTable(name, records)),
      event.prompt ? fe.el("div", {}, fe.el("div", { class: "fe-muted" }, calls ? "told the model" : "prompt"), words(event.prompt)) : "");
  };
  const show = () => {
    const at = position();
    const event = events[at];
    rows.forEach((row, i) => {
      row.toggleAttribute("data-on", i === at);
      row.toggleAttribute("data-later", i > at);
      row.firstElementChild.tabIndex = i === at ? 0 : -1;
      if (i === at) row.firstElementChild.setAttribute("aria-current", "step");
      else row.firstElementChild.removeAttribute("aria-current");
    });
    const row = rows[at];
    if (row.offsetTop < list.scrollTop) list.scrollTop = row.offsetTop;
    else if (row.offsetTop + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = row.offsetTop + row.offsetHeight - list.clientHeight;
    stepper.show(`event ${at + 1} of ${last + 1}, ${nameOf(event)}`);
    totals.replaceChildren(...[`event ${at + 1} of ${last + 1}`, `${fe.duration(before[at] + seconds[at])} of ${fe.duration(total)} of work`,
      `${sum(at, "calls")} calls`, `${sum(at, "tokens_in") + sum(at, "tokens_out")} tokens`, `$${sum(at, "usd").toFixed(4)}`].map((text) => fe.el("span", {}, text)));
    ctx.root.dataset.position = at;
    drawDetail(event);
  };
  ctx.root.append(transport, totals, fe.el("div", { class: "fe-agent" }, list, detail));
  ctx.on("position", show);
  show();
});

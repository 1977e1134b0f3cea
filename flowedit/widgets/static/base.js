// Shared by every widget: building the page, talking to the model, keys, theme, messages.
// Joined in front of a widget's own file; nothing here imports anything.
const fe = {};

fe.fill = (node, attributes, children) => {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

fe.el = (tag, attributes, ...children) => fe.fill(document.createElement(tag), attributes, children);

fe.svg = (tag, attributes, ...children) =>
  fe.fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// An id that no other view on the page has: each view may be a module of its own, so the page itself keeps count.
fe.newId = (name) => {
  globalThis.feIds = (globalThis.feIds ?? 0) + 1;
  return `fe-${name}-${globalThis.feIds}`;
};

fe.clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Latent slot of a pixel frame: groups of 1, 4, 4, 4, ... frames.
fe.slotOf = (frame) => Math.floor((frame + 3) / 4);

fe.isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// Four significant digits, short exponents, and a dash for what is missing or not finite.
fe.number = (value) => {
  if (!fe.isNumber(value)) return value === null || value === undefined || Number.isNaN(value) ? "–" : String(value);
  if (value === 0 || Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
};

// A time in the unit that suits it.
fe.duration = (seconds) => (!fe.isNumber(seconds) ? "not timed" : seconds === 0 ? "0 s" : seconds < 0.1 ? `${Number((1000 * seconds).toPrecision(3))} ms`
  : seconds < 120 ? `${Number(seconds.toPrecision(3))} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`);

fe.ICONS = {
  play: "M5 3.5v9l7.5-4.5z",
  pause: "M4.5 3.5h2.6v9H4.5zM8.9 3.5h2.6v9H8.9z",
  previous: "M10.5 3.5v9L4.5 8z",
  next: "M5.5 3.5v9l6-4.5z",
  keyBack: "M9.5 4.5 13 8l-3.5 3.5L6 8zM3 4h1.5v8H3z",
  keyNext: "M6.5 4.5 10 8l-3.5 3.5L3 8zM11.5 4H13v8h-1.5z",
};

fe.icon = (name) =>
  fe.svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    fe.svg("path", { d: fe.ICONS[name], fill: "currentColor" }));

fe.button = (label, onclick, { icon, text, ...rest } = {}) =>
  fe.el("button", { type: "button", class: "fe-button", "aria-label": icon || text !== undefined ? label : null,
    title: icon || text !== undefined ? label : null, onclick, ...rest }, icon ? fe.icon(icon) : null, text ?? (icon ? null : label));

fe.setIcon = (button, icon, label) => {
  button.replaceChildren(fe.icon(icon));
  button.setAttribute("aria-label", label);
  button.title = label;
};

// A labelled <select>; `options` is a list of [value, text].
fe.select = (label, options, value, onchange, attributes = {}) => {
  const node = fe.el("select", { class: "fe-select", ...attributes, onchange: (event) => onchange(event.target.value) },
    options.map(([key, text]) => fe.el("option", { value: key, selected: String(key) === String(value) }, text)));
  return fe.el("label", { class: "fe-field" }, fe.el("span", {}, label), node);
};

// Buttons of which one is pressed; returns { node, show(value) }.
fe.segments = (label, options, value, onchange) => {
  const buttons = options.map(([key, text]) =>
    fe.el("button", { type: "button", class: "fe-segment", "data-value": key, onclick: () => onchange(key) }, text));
  const show = (current) => buttons.forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset.value === String(current))));
  show(value);
  return { node: fe.el("div", { class: "fe-segments", role: "group", "aria-label": label }, buttons), show };
};

// A data table; cells are text, numbers or nodes. `numeric` aligns all but the first column to the right.
fe.table = (caption, columns, rows) =>
  fe.el("div", { class: "fe-scroll", tabindex: 0, role: "region", "aria-label": caption },
    fe.el("table", { class: "fe-table" },
      fe.el("caption", {}, caption),
      fe.el("thead", {}, fe.el("tr", {}, columns.map((name) => fe.el("th", { scope: "col" }, name)))),
      fe.el("tbody", {}, rows.map((row) => fe.el("tr", {}, row.map((cell) =>
        fe.el("td", {}, cell instanceof Node ? cell : typeof cell === "string" ? cell : fe.number(cell))))))));

// Keys of a control: each key named in `actions` calls its function.
fe.onKeys = (node, actions) => node.addEventListener("keydown", (event) => {
  if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  actions[event.key]();
});

// The keys of a slider, for `onKeys`: `go(by)` is called with a number of steps, or with an infinite one for the ends.
fe.moves = (go, page = 5) => ({
  ArrowRight: () => go(1), ArrowUp: () => go(1), ArrowLeft: () => go(-1), ArrowDown: () => go(-1),
  PageUp: () => go(page), PageDown: () => go(-page), Home: () => go(-Infinity), End: () => go(Infinity),
});

fe.isTextInput = (node) =>
  node instanceof HTMLTextAreaElement || (node instanceof HTMLInputElement && /^(text|search|number)$/.test(node.type));

// A host (a dead kernel, a static site) may throw from any of these; a widget goes on with what it has.
fe.attempt = (action) => {
  try {
    action();
    return true;
  } catch {
    return false;
  }
};

fe.context = (model, root) => {
  const cleanups = [];
  const live = fe.el("div", { class: "fe-hidden", role: "status", "aria-live": "polite" });
  const ctx = {
    model, root, live,
    get: (name) => model.get(name),
    // Call `handler` when any of the traits changes, from this view, another one, a link or the kernel.
    on(names, handler) {
      for (const name of [names].flat()) {
        model.on(`change:${name}`, handler);
        cleanups.push(() => model.off(`change:${name}`, handler));
      }
    },
    // Write traits, after a gesture only. They are saved at once: the kernel's echo of an earlier gesture would undo what
    // is written and not yet saved. The host itself sends one message at a time, so that scrubbing does not flood the kernel.
    set(values) {
      for (const [name, value] of Object.entries(values)) fe.attempt(() => model.set(name, value));
      fe.attempt(() => model.save_changes());
    },
    // Whether there is anyone to send a message to: false in an exported page.
    get live_host() { return typeof model.send === "function"; },
    send: (content) => fe.attempt(() => model.send(content)),
    announce: (text) => { live.textContent = text; },
    cleanup: (action) => cleanups.push(action),
    end: () => cleanups.splice(0).reverse().forEach((action) => fe.attempt(action)),
  };
  return ctx;
};

// Keys typed in a widget stay in it: a notebook would insert a cell on `b` and delete one on `d d`.
fe.guardKeys = (root) => root.addEventListener("keydown", (event) => {
  if (fe.isTextInput(event.target) || !(event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
});

// Light text means a dark page, whichever way the host says so.
fe.isDark = (node) => {
  const canvas = fe.el("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = getComputedStyle(node).color;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 128;
};

fe.watchTheme = (ctx) => {
  const listeners = [];
  const read = () => {
    const theme = fe.isDark(ctx.root) ? "dark" : "light";
    if (ctx.root.dataset.feTheme === theme) return;
    ctx.root.dataset.feTheme = theme;
    listeners.forEach((listener) => listener());
  };
  // A host changes an attribute first and loads the theme's style later, so look again.
  const again = () => { read(); setTimeout(read, 300); setTimeout(read, 1200); };
  const observer = new MutationObserver(again);
  for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true });
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", again);
  ctx.cleanup(() => { observer.disconnect(); query.removeEventListener("change", again); });
  ctx.onTheme = (listener) => listeners.push(listener);
  again();
  requestAnimationFrame(read);
};

// A widget's module: `build(ctx)` fills ctx.root; what it left to `ctx.cleanup` is undone when the view goes.
fe.widget = (name, build) => ({
  render({ model, el }) {
    const heading = model.get("heading");
    const note = model.get("note");
    const root = fe.el("div", { class: `fe-root fe-${name}`, role: "group", "aria-label": heading || name.replace(/-/g, " ") });
    const ctx = fe.context(model, root);
    el.classList.add("fe-host");
    el.append(root);
    fe.guardKeys(root);
    if (heading || note) {
      root.append(fe.el("div", { class: "fe-head" }, fe.el("span", { class: "fe-heading" }, heading),
        note ? fe.el("span", { class: "fe-note" }, note) : null));
    }
    root.append(ctx.live);
    fe.watchTheme(ctx);
    try {
      build(ctx);
    } catch (error) {
      root.append(fe.el("p", { class: "fe-message" }, `This widget could not be drawn: ${error.message}`));
      console.error(error);
    }
    return () => ctx.end();
  },
});

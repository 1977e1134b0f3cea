// Lights for the script, the kernel and the traits between them; the machine's report; copying it.

const MARKS = { ok: "✓", warn: "!", info: "·", wait: "…", off: "–" };
const WORDS = { ok: "works", warn: "needs attention", info: "for information", wait: "waiting", off: "not there" };

export default fe.widget("env-card", (ctx) => {
  const lights = {};
  const light = (key, name) => {
    const mark = fe.el("span", { class: "fe-mark-dot", "aria-hidden": "true" });
    const text = fe.el("span", { class: "fe-lighttext" });
    lights[key] = (state, words) => {
      mark.textContent = MARKS[state];
      node.dataset.state = state;
      text.textContent = words;
      ctx.root.dataset[key] = state;
    };
    const node = fe.el("li", { class: "fe-light" }, mark, fe.el("strong", {}, name), text);
    return node;
  };
  const list = fe.el("ul", { class: "fe-lights" }, light("script", "Script"), light("kernel", "Kernel"), light("traits", "Traits"));
  const verdict = fe.el("p", { class: "fe-verdictline" });
  const parts = fe.el("dl", { class: "fe-parts" });
  let token = 0;
  let timer = 0;

  const rows = () => ctx.get("rows") ?? [];
  const reportText = () => ["script", "kernel", "traits"].map((key) => `${key}: ${WORDS[ctx.root.dataset[key]]}`).concat(rows().map(({ name, value, hint }) => `${name}: ${value}${hint ? ` (${hint})` : ""}`), `Browser: ${navigator.userAgent}`).join("\n");

  const show = () => {
    const wrong = rows().filter(({ state }) => state === "warn");
    const silent = ctx.root.dataset.kernel === "off";
    verdict.dataset.state = wrong.length ? "warn" : "ok";
    verdict.textContent = wrong.length ? `${wrong.map(({ name, hint }) => (hint ? `${name}: ${hint}` : name)).join(" ")}`
      : silent ? "Everything was there when this was saved. Without a kernel, widgets still work, and nothing new is computed."
        : ctx.root.dataset.traits === "ok" ? "Everything works." : "Nothing is missing.";
    parts.replaceChildren(...rows().map(({ name, value, state, hint }) => fe.el("div", { class: "fe-part", "data-state": state },
      fe.el("dt", {}, fe.el("span", { class: "fe-mark-dot", "aria-hidden": "true" }, MARKS[state]), name, fe.el("span", { class: "fe-hidden" }, `, ${WORDS[state]}`)),
      fe.el("dd", {}, value, hint ? fe.el("span", { class: "fe-hint" }, hint) : null))));
  };

  const silent = () => {
    lights.kernel("off", "no answer: run the notebook, or read on without");
    lights.traits("off", "not tested");
    show();
  };
  // A message there and back lights the kernel; a number that the kernel copies lights the traits.
  const test = (type = "ping") => {
    clearTimeout(timer);
    token = Math.floor(1 + Math.random() * 1e9);
    lights.kernel("wait", "asking");
    lights.traits("wait", "asking");
    if (!ctx.send({ type, token })) return silent();
    timer = setTimeout(silent, 4000);
    return undefined;
  };
  const onMessage = (message) => {
    if (message?.type !== "pong" || message.token !== token) return;
    clearTimeout(timer);
    lights.kernel("ok", "answers");
    fe.attempt(() => { ctx.model.set("ask", token); ctx.model.save_changes(); });
    timer = setTimeout(() => { lights.traits("warn", "the kernel hears, but its changes do not come back"); show(); }, 4000);
    show();
  };
  const onAnswer = () => {
    if (ctx.get("answer") !== token || ctx.root.dataset.kernel !== "ok") return;
    clearTimeout(timer);
    lights.traits("ok", "there and back");
    show();
  };

  // The text stands there selected, because frames and plain http pages may not write to the clipboard.
  const report = fe.el("textarea", { class: "fe-text fe-report", readonly: true, rows: 8, "aria-label": "Report, select all and copy", hidden: true });
  const copy = () => {
    report.hidden = false;
    report.value = reportText();
    report.select();
    fe.attempt(() => navigator.clipboard.writeText(report.value).catch(() => {}));
    ctx.announce("The report is selected; press Ctrl+C or ⌘C to copy it.");
  };

  ctx.root.append(list, verdict, parts, fe.el("div", { class: "fe-row" }, fe.button("Copy report", copy),
    fe.button("Test again", () => test("refresh"))), report);
  lights.script("ok", "runs");
  fe.attempt(() => ctx.model.on("msg:custom", onMessage));
  ctx.cleanup(() => { clearTimeout(timer); ctx.model.off("msg:custom", onMessage); });
  ctx.on("answer", onAnswer);
  ctx.on("rows", show);
  test();
  show();
});

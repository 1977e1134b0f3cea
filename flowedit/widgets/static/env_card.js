// The machine's report, with a light for the way to the kernel and back; copying it.

const MARKS = { ok: "✓", warn: "!", info: "·", wait: "…", off: "–" };
const WORDS = { ok: "works", warn: "needs attention", info: "for information", wait: "waiting", off: "not there" };
const KERNEL = { ok: "answers, and its changes come back", wait: "asking", off: "no answer: busy, or not there; read on without" };
const SILENCE = 4000; // ms without an answer before the light goes out

export default fe.widget("env-card", (ctx) => {
  const verdict = fe.el("p", { class: "fe-verdictline" });
  const parts = fe.el("dl", { class: "fe-parts" });
  let asked = 0;
  let timer = 0;

  const rows = () => {
    const { kernel } = ctx.root.dataset;
    return [{ name: "Kernel", value: KERNEL[kernel], state: kernel }, ...(ctx.get("rows") ?? [])];
  };
  const show = (kernel = ctx.root.dataset.kernel) => {
    ctx.root.dataset.kernel = kernel;
    const wrong = rows().filter(({ state }) => state === "warn");
    verdict.dataset.state = wrong.length ? "warn" : "ok";
    verdict.textContent = wrong.length ? wrong.map(({ name, hint }) => (hint ? `${name}: ${hint}` : name)).join(" ")
      : { ok: "Everything works.", wait: "Nothing is missing." }[kernel]
        ?? "Everything was there when this was saved. Without a kernel, widgets still work, and nothing new is computed.";
    parts.replaceChildren(...rows().map(({ name, value, state, hint }) => fe.el("div", { class: "fe-part", "data-state": state },
      fe.el("dt", {}, fe.el("span", { class: "fe-mark-dot", "aria-hidden": "true" }, MARKS[state]), name, fe.el("span", { class: "fe-hidden" }, `, ${WORDS[state]}`)),
      fe.el("dd", {}, value, hint ? fe.el("span", { class: "fe-hint" }, hint) : null))));
  };
  // A number that the kernel copies lights its lamp: the page's change went there and the kernel's came back.
  const test = () => {
    clearTimeout(timer);
    asked = Math.floor(1 + Math.random() * 1e9);
    show("wait");
    fe.attempt(() => { ctx.model.set("ask", asked); ctx.model.save_changes(); });
    if (ctx.live_host) timer = setTimeout(() => show("off"), SILENCE);
    else show("off");
  };
  const onAnswer = () => {
    if (ctx.get("answer") !== asked) return;
    clearTimeout(timer);
    show("ok");
  };

  // The text stands there selected, because frames and plain http pages may not write to the clipboard.
  const report = fe.el("textarea", { class: "fe-text fe-report", readonly: true, rows: 8, "aria-label": "Report, select all and copy", hidden: true });
  const copy = () => {
    const lines = rows().map(({ name, value, hint }) => `${name}: ${value}${hint ? ` (${hint})` : ""}`);
    report.hidden = false;
    report.value = [...lines, `Browser: ${navigator.userAgent}`].join("\n");
    report.select();
    fe.attempt(() => navigator.clipboard.writeText(report.value).catch(() => {}));
    ctx.announce("The report is selected; press Ctrl+C or ⌘C to copy it.");
  };

  ctx.root.append(verdict, parts, fe.el("div", { class: "fe-row" }, fe.button("Copy report", copy), fe.button("Test again", test)), report);
  ctx.cleanup(() => clearTimeout(timer));
  ctx.on("answer", onAnswer);
  ctx.on("rows", () => show());
  test();
});

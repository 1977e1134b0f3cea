// The machine's report, with a light for the way to the kernel and back.

const MARKS = { ok: "✓", warn: "!", info: "·", wait: "…", busy: "…", off: "–" };
const WORDS = { ok: "works", warn: "needs attention", info: "for information", wait: "waiting", busy: "busy", off: "not there" };
const KERNEL = { ok: "answers, and its changes come back", wait: "asking", busy: "no answer yet: busy with a cell, or gone", off: "not there; read on without" };
const VERDICT = {
  ok: "Everything works.", wait: "Nothing is missing.",
  busy: "Nothing is missing. The kernel has not answered yet: while it runs other cells it cannot; this card changes when it does.",
  off: "Everything was there when this was saved. Without a kernel, widgets still work, and nothing new is computed.",
};
const SILENCE = 4000; // ms without an answer before the card says so

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
      : VERDICT[kernel];
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
    if (ctx.live_host) timer = setTimeout(() => show("busy"), SILENCE);
    else show("off");
  };
  const onAnswer = () => {
    if (ctx.get("answer") !== asked) return;
    clearTimeout(timer);
    show("ok");
  };

  // Without a kernel there is nothing to test again.
  ctx.root.append(verdict, parts, ...(ctx.live_host ? [fe.el("div", { class: "fe-row" }, fe.button("Test again", test))] : []));
  ctx.cleanup(() => clearTimeout(timer));
  ctx.on("answer", onAnswer);
  ctx.on("rows", () => show());
  test();
});

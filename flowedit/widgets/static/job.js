// Progress and cancel of work in the kernel, from the trait `job`; says so when nobody answers.

fe.SILENCE = 4000; // ms without an answer before a widget says that no kernel runs
fe.PATIENCE = 10000; // ms without news of running work before the page asks whether anyone is there

fe.job = (ctx) => {
  const bar = fe.el("progress", { "aria-label": "Progress", max: 1 });
  const text = fe.el("span", { role: "status" });
  const cancel = fe.button("Cancel", () => request({ type: "cancel" }));
  // The button stands before the words: behind them it would move under the pointer whenever they change.
  const node = fe.el("div", { class: "fe-row fe-job" }, bar, cancel, text);
  let [silence, patience] = [0, 0];
  let lost = false;
  const busy = () => !lost && ["running", "cancelling"].includes(ctx.get("job")?.state);
  const nobody = () => {
    lost = true;
    show();
  };
  // Send a request to the kernel; without an answer in time the widget says so.
  const request = (content) => {
    clearTimeout(silence);
    if (!ctx.send(content)) return nobody();
    silence = setTimeout(nobody, fe.SILENCE);
    return undefined;
  };
  const heard = () => {
    clearTimeout(silence);
    clearTimeout(patience);
    lost = false;
    if (busy()) patience = setTimeout(() => request({ type: "ping" }), fe.PATIENCE);
    show();
  };
  const words = ({ state, text: said = "", done = 0, total = 0, seconds = 0 }) => {
    if (lost) return "No kernel answered: it is busy with a cell, or gone. Run the notebook to compute; what is here still works.";
    if (!busy()) return state === "failed" ? `Failed: ${said}` : said;
    const count = total > 0 ? `${fe.number(done)} of ${fe.number(total)}` : fe.duration(seconds);
    const left = done > 0 && total > done ? `about ${fe.duration(Math.ceil((seconds / done) * (total - done)))} left` : "";
    return [state === "cancelling" ? "stopping" : "", count, left, said].filter(Boolean).join(", ");
  };
  const show = () => {
    const job = ctx.get("job") ?? {};
    const state = lost ? "lost" : job.state ?? "idle";
    node.hidden = state === "idle";
    bar.hidden = cancel.hidden = !busy();
    cancel.disabled = state === "cancelling";
    if (job.total > 0) bar.value = job.done / job.total;
    else bar.removeAttribute("value");
    text.textContent = words(job);
    text.classList.toggle("fe-failed", state === "failed");
    ctx.root.dataset.job = state;
    onchange.forEach((listener) => listener());
  };
  const onchange = [];
  const onMessage = (message) => { if (message?.type === "alive") heard(); };
  fe.attempt(() => ctx.model.on("msg:custom", onMessage));
  ctx.on("job", heard);
  ctx.cleanup(() => { clearTimeout(silence); clearTimeout(patience); ctx.model.off("msg:custom", onMessage); });
  heard();
  // `onchange(listener)`: called whenever the work, or whether anyone answers, changes.
  return { node, busy, request, onchange: (listener) => { onchange.push(listener); listener(); } };
};

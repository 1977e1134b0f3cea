// Progress and cancel of work in the kernel, from the trait `job`; says so when nobody answers.

fe.SILENCE = 4000; // ms without an answer before a widget says that no kernel runs

fe.job = (ctx) => {
  const bar = fe.el("progress", { "aria-label": "Progress", max: 1 });
  const text = fe.el("span", { role: "status" });
  const cancel = fe.button("Cancel", () => { if (!ctx.send({ type: "cancel" })) silent(); });
  // The button stands before the words: behind them it would move under the pointer whenever they change.
  const node = fe.el("div", { class: "fe-row fe-job", hidden: true }, bar, cancel, text);
  let waiting = 0;
  const busy = () => ["running", "cancelling"].includes(ctx.get("job")?.state);
  const silent = () => {
    node.hidden = false;
    bar.hidden = cancel.hidden = true;
    text.textContent = "No kernel answered. Run the notebook to compute new values; what is here still works.";
  };
  const remaining = ({ done, total, seconds }) => (done > 0 && total > done ? `, about ${Math.ceil((seconds / done) * (total - done))} s left` : "");
  const show = () => {
    clearTimeout(waiting);
    const job = ctx.get("job") ?? {};
    node.hidden = !job.state || job.state === "idle";
    bar.hidden = cancel.hidden = !busy();
    cancel.disabled = job.state === "cancelling";
    if (job.total > 0) bar.value = job.done / job.total;
    else bar.removeAttribute("value");
    const count = job.total > 0 ? `${fe.number(job.done)} of ${fe.number(job.total)}` : `${fe.number(job.seconds ?? 0)} s`;
    text.textContent = busy() ? `${job.state === "cancelling" ? "stopping, " : ""}${job.text ? `${job.text}, ` : ""}${count}${remaining(job)}`
      : `${job.state === "failed" ? "Failed: " : ""}${job.text ?? ""}`;
    text.classList.toggle("fe-failed", job.state === "failed");
    ctx.root.dataset.job = job.state ?? "idle";
  };
  ctx.on("job", show);
  ctx.cleanup(() => clearTimeout(waiting));
  show();
  return {
    node, busy,
    // Send a request to the kernel; without an answer in time the widget says so.
    request(content) {
      clearTimeout(waiting);
      if (ctx.send(content)) waiting = setTimeout(silent, fe.SILENCE);
      else silent();
    },
  };
};

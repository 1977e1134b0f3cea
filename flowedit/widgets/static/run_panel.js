// A run in the kernel: start, progress, time left, memory, a live preview, cancel; and what to say when nobody answers.

export default fe.widget("run-panel", (ctx) => {
  const job = fe.job(ctx);
  const start = fe.button("Start", () => job.request({ type: "start" }), { class: "fe-button fe-primary" });
  const image = fe.el("img", {});
  const caption = fe.el("figcaption", { class: "fe-muted" });
  const preview = fe.el("figure", { class: "fe-cell" }, image, caption);
  const lines = fe.el("pre", { class: "fe-words", tabindex: 0, role: "log", "aria-label": "Lines of the run" });
  const details = fe.el("details", { class: "fe-more" }, fe.el("summary", {}, "Log"), lines);

  const showLog = () => {
    const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 4;
    lines.textContent = (ctx.get("log") ?? []).join("\n");
    details.hidden = !lines.textContent;
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  };
  const showPicture = () => {
    preview.hidden = !ctx.get("picture");
    if (!preview.hidden) image.src = ctx.get("picture");
    image.alt = caption.textContent = ctx.get("preview_note");
  };

  ctx.root.append(fe.el("div", { class: "fe-row" }, start, job.node), preview, details);
  job.onchange(() => {
    start.disabled = job.busy();
    start.textContent = ctx.get("job").state === "idle" ? "Start" : "Start again";
  });
  ctx.on("log", showLog);
  ctx.on(["picture", "preview_note"], showPicture);
  showLog();
  showPicture();
});

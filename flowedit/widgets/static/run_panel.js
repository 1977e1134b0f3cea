// A run in the kernel: start, progress, time left, memory, a live preview, cancel; and what to say when nobody answers.

export default fe.widget("run-panel", (ctx) => {
  const job = fe.job(ctx);
  const start = fe.button("Start", () => job.request({ type: "start" }), { class: "fe-button fe-primary" });
  const picture = fe.el("div", { class: "fe-runview" });
  const lines = fe.el("pre", { class: "fe-runlog", tabindex: 0, role: "log", "aria-label": "Lines of the run" });
  const details = fe.el("details", { class: "fe-more" }, fe.el("summary", {}, "Log"), lines);
  let stage = null;

  const showLog = () => {
    const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 4;
    lines.textContent = (ctx.get("log") ?? []).join("\n");
    details.hidden = !lines.textContent;
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  };
  // Each preview is a whole new clip; the place in it is kept.
  const showClip = () => {
    const [data] = ctx.get("clip") ?? [];
    picture.hidden = !data;
    if (!data) return;
    if (stage?.size !== `${data.frames},${data.cell}`) build(data);
    const old = stage.clip;
    const clip = fe.clip(data, () => { if (stage.clip === clip) draw(); });
    stage.clip = clip;
    clip.all(stage.index()).then(() => old?.close());
    showNote();
  };
  const showNote = () => { if (stage) stage.caption.textContent = ctx.get("preview_note"); };
  const draw = () => { if (stage?.clip?.draw(stage.pen, stage.index())) ctx.root.dataset.drawn = stage.index(); };
  const build = (data) => {
    stage?.clip?.close();
    const { canvas, pen } = fe.canvas({ width: data.cell[0], height: data.cell[1] }, "Preview");
    const transport = fe.transport(ctx, { count: data.frames, fps: ctx.get("fps"), slots: false });
    const caption = fe.el("figcaption", { class: "fe-muted" });
    stage = { size: `${data.frames},${data.cell}`, clip: null, pen, caption, index: transport.index };
    picture.replaceChildren(fe.el("figure", { class: "fe-cell" }, canvas, caption), ...(data.frames > 1 ? [transport.node] : []));
  };

  ctx.root.append(fe.el("div", { class: "fe-row" }, start, job.node), picture, details);
  job.onchange(() => {
    start.disabled = job.busy();
    start.textContent = ctx.get("job").state === "idle" ? "Start" : "Start again";
  });
  ctx.on("log", showLog);
  ctx.on("clip", showClip);
  ctx.on("preview_note", showNote);
  ctx.on("index", draw);
  ctx.cleanup(() => stage?.clip?.close());
  showLog();
  showClip();
});

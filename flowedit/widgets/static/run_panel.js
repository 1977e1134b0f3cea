// A run in the kernel: start, progress, time left, memory, a live preview, cancel; and what to say when nobody answers.

const PATIENCE = 10000; // ms without news of a running run before the page asks whether anyone is there
const SILENCE = 4000; // ms without an answer before the page says so

const STATES = { idle: "Not started", running: "Running", cancelling: "Stopping after this step", done: "Done", cancelled: "Cancelled", failed: "Failed" };

const clock = (seconds) => {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};

export default fe.widget("run-panel", (ctx) => {
  const job = () => ctx.get("job") ?? { state: "idle" };
  const busy = () => ["running", "cancelling"].includes(job().state);
  let [patience, silence] = [0, 0];
  let lost = false;
  let stage = null;

  const start = fe.button("Start", () => request("start"), { class: "fe-button fe-primary" });
  const cancel = fe.button("Cancel", () => request("cancel"));
  const state = fe.el("strong", { class: "fe-runstate" });
  const numbers = fe.el("span", { class: "fe-muted" });
  const bar = fe.el("progress", { class: "fe-runbar", "aria-label": "Steps done", max: 1, value: 0 });
  const problem = fe.el("p", { class: "fe-message", hidden: true });
  const picture = fe.el("div", { class: "fe-runview", hidden: true });
  const lines = fe.el("pre", { class: "fe-runlog", tabindex: 0, role: "log", "aria-label": "Lines of the run" });
  const details = fe.el("details", { class: "fe-more" }, fe.el("summary", {}, "Log"), lines);

  const say = (text, bad = false) => {
    problem.hidden = !text;
    problem.textContent = text;
    problem.classList.toggle("fe-runbad", bad);
  };
  const nobody = () => {
    lost = true;
    show();
    say(busy() ? "No answer from the kernel: it is busy with a cell, or gone and the run with it. The last preview still works."
      : "No kernel answers here. Run the notebook to start; what is shown is the record of the last run.");
    ctx.announce(problem.textContent);
  };
  const request = (type) => {
    clearTimeout(silence);
    if (!ctx.send({ type })) return nobody();
    silence = setTimeout(nobody, SILENCE);
    return undefined;
  };
  // A run that says nothing for long may have lost its kernel.
  const watch = () => {
    clearTimeout(patience);
    if (busy() && !lost) patience = setTimeout(() => { request("ping"); watch(); }, PATIENCE);
  };
  const heard = () => {
    clearTimeout(silence);
    if (lost) { lost = false; say(""); }
    watch();
  };

  let told = "";
  const show = () => {
    const { state: now, done = 0, total = 0, text = "", seconds = 0 } = job();
    start.disabled = busy() && !lost;
    start.textContent = now === "idle" ? "Start" : "Start again";
    cancel.disabled = now !== "running" || lost;
    state.textContent = lost && busy() ? "No answer" : STATES[now] ?? now;
    ctx.root.dataset.state = lost && busy() ? "lost" : now;
    bar.hidden = now === "idle";
    if (busy() && !total) bar.removeAttribute("value");
    else bar.value = total ? done / total : 0;
    bar.setAttribute("aria-valuetext", `${fe.number(done)} of ${fe.number(total)} steps`);
    const left = ctx.get("left");
    numbers.textContent = [total ? `step ${fe.number(done)} of ${fe.number(total)}` : "", now === "idle" ? "" : `${clock(seconds)} so far`,
      busy() && left >= 0 && done > 0 ? `about ${clock(left)} left` : "", now === "idle" ? "" : ctx.get("memory"),
      busy() && text ? text : ""].filter(Boolean).join(" · ");
    if (now === "failed") say(text, true);
    else if (!lost) say("");
    const words = ["done", "cancelled", "failed"].includes(now) ? `${STATES[now]}. ${now === "failed" ? text : ""}` : busy() ? "Run started" : "";
    if (words && words !== told) ctx.announce(words);
    told = words;
  };

  const showLog = () => {
    const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 4;
    lines.textContent = (ctx.get("log") ?? []).join("\n");
    details.hidden = !lines.textContent;
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  };

  // Each preview is a whole new clip; the place in it is kept.
  const showClip = () => {
    const [data] = ctx.get("clip") ?? [];
    if (!data) {
      picture.hidden = true;
      return;
    }
    if (!stage || stage.count !== data.frames || stage.size !== data.cell.join()) build(data);
    const old = stage.clip;
    const clip = fe.clip(data, () => { if (stage.clip === clip) stage.draw(); });
    stage.clip = clip;
    clip.all(stage.index()).then(() => old?.close());
    stage.caption.textContent = ctx.get("preview_note");
    picture.hidden = false;
  };
  const build = (data) => {
    stage?.clip?.close();
    const { canvas, pen } = fe.canvas({ width: data.cell[0], height: data.cell[1] }, "Preview");
    const transport = fe.transport(ctx, { count: data.frames, fps: ctx.get("fps"), slots: false });
    const caption = fe.el("figcaption", { class: "fe-runnote" });
    stage = { count: data.frames, size: data.cell.join(), clip: null, caption, index: transport.index, stop: transport.stop,
      draw: () => { if (stage.clip?.draw(pen, transport.index())) ctx.root.dataset.drawn = transport.index(); } };
    picture.replaceChildren(fe.el("figure", { class: "fe-runfigure" }, canvas, caption), ...(data.frames > 1 ? [transport.node] : []));
  };

  ctx.root.append(fe.el("div", { class: "fe-row" }, start, cancel, state, numbers), bar, problem, picture, details);
  ctx.on("job", () => { heard(); show(); });
  ctx.on(["left", "memory"], show);
  ctx.on("log", showLog);
  ctx.on("clip", showClip);
  ctx.on("preview_note", () => { if (stage) stage.caption.textContent = ctx.get("preview_note"); });
  ctx.on("index", () => stage?.draw());
  const onMessage = (message) => { if (message?.type === "alive") heard(); };
  fe.attempt(() => ctx.model.on("msg:custom", onMessage));
  ctx.cleanup(() => { clearTimeout(patience); clearTimeout(silence); stage?.clip?.close(); ctx.model.off("msg:custom", onMessage); });
  show();
  showLog();
  showClip();
  watch();
});

// Source and styled keyframes in pairs: look, compare, approve or send back with a reason.

export default fe.widget("keyframe-gallery", (ctx) => {
  const cards = fe.el("div", { class: "fe-pairs" });
  const summary = fe.el("output", { class: "fe-summary", "aria-live": "polite" });
  const job = fe.job(ctx);
  const decisionOf = (index) => ctx.get("decisions")[index] ?? { action: "", reason: "" };
  const decide = (index, change) => ctx.set({ decisions: { ...ctx.get("decisions"), [index]: { ...decisionOf(index), ...change } } });
  const all = fe.button("Approve all", () => ctx.set({ decisions: Object.fromEntries(ctx.get("pairs").map(({ index }) => [index, { action: "approve", reason: "" }])) }));
  const send = fe.button("Send to the agent", () => job.request({ type: "resume", decisions: ctx.get("decisions") }), { class: "fe-button fe-primary" });
  const why = fe.el("span", { class: "fe-muted", id: fe.newId("why"), role: "status" });
  send.setAttribute("aria-describedby", why.id);
  const answers = fe.el("div", { class: "fe-row" }, all, send, why, job.node);

  let segments = [];
  const figure = (src, alt, words) => fe.el("figure", { class: "fe-cell" }, fe.el("img", { src, alt }), fe.el("figcaption", {}, words));
  const build = () => {
    segments = ctx.get("pairs").map((pair) => {
      const { index } = pair;
      const images = fe.el("div", { class: "fe-twin" }, figure(pair.source, `source frame ${index}`, "source"),
        figure(pair.styled, `styled keyframe ${index}`, "styled"));
      const choice = fe.segments(`Decision on keyframe ${index}`, [["approve", "Approve"], ["redo", "Redo"]], "", (action) => {
        decide(index, { action: decisionOf(index).action === action ? "" : action });
      });
      const reason = fe.el("input", { type: "text", class: "fe-text fe-reason", placeholder: "what should change?", "aria-label": `What should change at keyframe ${index}`,
        oninput: (event) => decide(index, { reason: event.target.value }) });
      const scores = fe.el("dl", { class: "fe-scores" }, Object.entries(pair.scores).map(([name, value]) =>
        fe.el("div", {}, fe.el("dt", {}, name), fe.el("dd", {}, typeof value === "string" ? value : fe.number(value)))));
      const warnings = pair.reasons.map((text) => fe.el("p", { class: "fe-message" }, text));
      const node = fe.el("section", { class: "fe-card", "aria-label": `Keyframe ${index}` },
        fe.el("div", { class: "fe-row" }, fe.el("strong", {}, `frame ${index}`), fe.el("span", { class: "fe-muted" }, `latent slot ${fe.slotOf(index)}`)),
        images, scores, warnings, choice.node, reason);
      return { index, choice, reason, node };
    });
    cards.replaceChildren(...segments.map((segment) => segment.node));
    if (!segments.length) cards.replaceChildren(fe.el("p", { class: "fe-message" }, "There are no keyframes to look at."));
  };
  const show = () => {
    for (const { index, choice, reason, node } of segments) {
      const { action, reason: text } = decisionOf(index);
      choice.show(action);
      reason.hidden = action !== "redo";
      if (document.activeElement !== reason) reason.value = text;
      node.dataset.action = action;
    }
    const count = (action) => segments.filter(({ index }) => decisionOf(index).action === action).length;
    const [approved, redo] = [count("approve"), count("redo")];
    const open = segments.length - approved - redo;
    summary.textContent = `${approved} approved, ${redo} to redo, ${open} undecided`;
    ctx.root.dataset.decided = `${approved},${redo},${open}`;
    answers.hidden = !(ctx.get("can_resume") && ctx.live_host);
    const mute = segments.filter(({ index }) => decisionOf(index).action === "redo" && !decisionOf(index).reason.trim());
    for (const { index, reason } of segments) reason.setAttribute("aria-invalid", String(mute.some((one) => one.index === index)));
    const missing = [open ? `decide on ${open} more` : "", mute.length ? `say what should change at frame ${mute.map(({ index }) => index).join(", ")}` : ""];
    why.textContent = segments.length && !job.busy() && missing.some(Boolean) ? `Before sending: ${missing.filter(Boolean).join("; ")}.` : "";
    send.disabled = job.busy() || open > 0 || mute.length > 0 || !segments.length;
  };
  ctx.root.append(cards, summary, answers);
  ctx.on("pairs", () => { build(); show(); });
  ctx.on("decisions", show);
  build();
  job.onchange(show);
});

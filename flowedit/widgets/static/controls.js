// Sliders with a name and a reading.

// A labelled slider over the numbers `positions`, so that uneven steps (1, 2, 5, 10, ...) are as easy as even ones.
// `read` is the value now, `write(value)` is called on a gesture. Returns { node, show() }.
fe.slider = (label, { positions, read, write, format = fe.number, words = format, hint }) => {
  const nearest = (value) => positions.reduce((best, other, i) =>
    (Math.abs(other - value) < Math.abs(positions[best] - value) ? i : best), 0);
  const output = fe.el("output", { class: "fe-reading" });
  const input = fe.el("input", { type: "range", class: "fe-range", min: 0, max: positions.length - 1, step: 1,
    "aria-label": label, oninput: (event) => write(positions[Number(event.target.value)]) });
  const show = () => {
    const value = read();
    input.value = nearest(value);
    input.setAttribute("aria-valuetext", words(value));
    output.textContent = format(value);
  };
  show();
  return { show, input, node: fe.el("div", { class: "fe-slider" },
    fe.el("span", { class: "fe-slidername", title: hint, "aria-hidden": "true" }, label), output, input) };
};

// Even steps from `low` to `high`, both included, without the drift of adding up.
fe.steps = (low, high, count) => Array.from({ length: count + 1 }, (_, i) => Number((low + ((high - low) * i) / count).toPrecision(12)));

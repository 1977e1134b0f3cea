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

// Wan's sigma grid, in the float32 arithmetic of the vendor's scheduler: equal to flowedit.schedule to the last bit.

// `count` values from `start` to 0, rounded to float32 once each and from both ends.
fe.linspace32 = (start, count) => {
  const begin = Math.fround(start);
  const step = Math.fround(-begin / Math.fround(count - 1));
  return Array.from({ length: count }, (_, i) =>
    Math.fround(i < Math.floor(count / 2) ? begin + step * i : -step * (count - 1 - i)));
};

fe.wanSigmas = (steps, strength, shift) => fe.linspace32(strength, steps + 1).map((even) => {
  const top = Math.fround(Math.fround(shift) * even);
  const bottom = Math.fround(1 + Math.fround(Math.fround(shift - 1) * even));
  return Math.fround(top / bottom);
});

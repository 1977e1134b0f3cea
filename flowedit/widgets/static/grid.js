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

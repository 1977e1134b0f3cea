// Saves what is drawn: one frame as PNG, a clip as GIF, its pictures side by side with their names and a caption.

const DITHER = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5]; // Bayer's order of a square of 4, against steps in smooth skies
const LETTER = 12; // pixels
const MOST_WIDE = 1200;

// The palette of some pictures by median cut: `colours` is a GIF's table of 256, `index` finds pixel k's place in it.
fe.palette = (pictures) => {
  const binOf = (r, g, b) => ((r >> 3) << 10) | ((g >> 3) << 5) | (b >> 3);
  const counts = new Uint32Array(1 << 15);
  for (const { data } of pictures) for (let i = 0; i < data.length; i += 4) counts[binOf(data[i], data[i + 1], data[i + 2])] += 1;
  const channels = [10, 5, 0].map((shift) => (bin) => (bin >> shift) & 31);
  const total = (bins, value = () => 1) => bins.reduce((sum, bin) => sum + counts[bin] * value(bin), 0);
  const box = (bins) => {
    const ends = (channel) => bins.map(channel).reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [31, 0]);
    const reach = channels.map(ends).map(([low, high]) => high - low);
    const widest = Math.max(...reach);
    return { bins, channel: channels[reach.indexOf(widest)], weight: widest * Math.sqrt(total(bins)) };
  };
  const boxes = [box([...counts.keys()].filter((bin) => counts[bin]))];
  while (boxes.length < 256 && boxes.at(-1).weight > 0) {
    const { bins, channel } = boxes.pop();
    const half = total(bins) / 2;
    bins.sort((a, b) => channel(a) - channel(b));
    let at = 1;
    for (let sum = counts[bins[0]]; at < bins.length - 1 && sum < half; at += 1) sum += counts[bins[at]];
    boxes.push(box(bins.slice(0, at)), box(bins.slice(at)));
    boxes.sort((a, b) => a.weight - b.weight);
  }
  const colours = new Uint8Array(768);
  boxes.forEach(({ bins }, place) => channels.forEach((channel, c) => { colours[3 * place + c] = (total(bins, channel) * 255) / 31 / total(bins); }));
  const places = new Int16Array(1 << 15).fill(-1);
  const nearest = (bin) => {
    const away = (k) => channels.reduce((sum, channel, c) => sum + ((channel(bin) * 255) / 31 - colours[3 * k + c]) ** 2, 0);
    return boxes.reduce((best, _, k) => (away(k) < away(best) ? k : best), 0);
  };
  return { colours, index(data, k, width) {
    const nudge = 0.8 * (DITHER[4 * (Math.floor(k / width) & 3) + ((k % width) & 3)] - 7.5);
    const bin = binOf(...[0, 1, 2].map((c) => fe.clamp(data[4 * k + c] + nudge, 0, 255)));
    if (places[bin] < 0) places[bin] = nearest(bin);
    return places[bin];
  } };
};

// Bytes as GIF's variant of LZW packs them, codes of 9 to 12 bits.
fe.lzw = (pixels) => {
  const out = [];
  let [held, bits, size, next, codes, prefix] = [0, 0, 9, 258, new Map(), pixels[0]];
  const emit = (code) => {
    held |= code << bits;
    for (bits += size; bits >= 8; bits -= 8) { out.push(held & 255); held >>>= 8; }
  };
  emit(256);
  for (const pixel of pixels.subarray(1)) {
    const key = (prefix << 8) | pixel;
    const known = codes.get(key);
    prefix = known ?? (emit(prefix), pixel);
    if (known !== undefined) continue;
    if (next === 4096) { emit(256); [size, next, codes] = [9, 258, new Map()]; }
    else { if (next >= 1 << size) size += 1; codes.set(key, next++); }
  }
  emit(prefix);
  emit(257);
  return bits ? [...out, held] : out;
};

// A GIF that repeats for ever of `count` pictures of one size, `draw(i)` each; `said` is kept in it as a comment.
fe.gif = async (count, draw, fps, said) => {
  const { width, height } = draw(0);
  const { colours, index } = fe.palette([0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => draw(Math.round(share * (count - 1)))));
  const short = (value) => [value & 255, value >> 8];
  const letters = (text) => [...new TextEncoder().encode(text)];
  const blocks = (bytes) => [...Array.from({ length: Math.ceil(bytes.length / 255) }, (_, i) => bytes.slice(255 * i, 255 * i + 255))
    .flatMap((part) => [part.length, ...part]), 0];
  const parts = [[...letters("GIF89a"), ...short(width), ...short(height), 0xf7, 0, 0, ...colours,
    0x21, 0xff, 11, ...letters("NETSCAPE2.0"), 3, 1, 0, 0, 0, 0x21, 0xfe, ...blocks(letters(said))]];
  const due = (i) => Math.round((100 * i) / fps);
  for (let i = 0; i < count; i += 1) {
    const { data } = draw(i);
    const pixels = Uint8Array.from({ length: width * height }, (_, k) => index(data, k, width));
    parts.push([0x21, 0xf9, 4, 0, ...short(due(i + 1) - due(i)), 0, 0, 0x2c, 0, 0, 0, 0, ...short(width), ...short(height), 0, 8, ...blocks(fe.lzw(pixels))]);
    await new Promise((go) => { setTimeout(go); }); // so that a long clip does not freeze the page
  }
  return new Blob([...parts, [0x3b]].map((part) => Uint8Array.from(part)), { type: "image/gif" });
};

// Canvases side by side, each over its name, and `lines` below all, on the notebook's own ground.
fe.sheet = (ctx, shown, lines) => {
  const columns = shown.length > 4 ? Math.ceil(Math.sqrt(shown.length)) : shown.length;
  const { width: wide, height: tall } = shown[0][0];
  const scale = Math.min(Math.max(1, Math.round(280 / wide)), MOST_WIDE / (columns * wide));
  const [w, h] = [Math.round(scale * wide), Math.round(scale * tall)];
  const canvas = fe.el("canvas", { width: columns * (w + 8) + 8, height: Math.ceil(shown.length / columns) * (h + 24) + 12 + lines.length * 17 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const dark = ctx.root.dataset.feTheme === "dark";
  pen.fillStyle = dark ? "#111" : "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = dark ? "#ddd" : "#222";
  pen.imageSmoothingEnabled = scale < 1;
  const write = (text, x, y, most, bold = "") => { pen.font = `${bold} ${LETTER}px system-ui, sans-serif`; pen.fillText(text, x, y, most); };
  shown.forEach(([picture, name], i) => {
    const [x, y] = [8 + (i % columns) * (w + 8), 8 + Math.floor(i / columns) * (h + 24)];
    pen.drawImage(picture, x, y, w, h);
    write(name, x, y + h + 14, w, "bold");
  });
  lines.forEach((line, i) => write(line, 8, canvas.height - 8 - 17 * (lines.length - 1 - i), canvas.width - 16));
  return canvas;
};

// Two buttons. `shown()` gives the canvases drawn now with their names, `draw(i)` draws frame i on them once `load()` is over.
fe.saveButtons = (ctx, { count, fps, index, shown, draw, load }) => {
  const title = [ctx.get("heading"), ctx.get("note")].filter(Boolean).join(" · ");
  const sheet = (i, lines) => { draw(i); return fe.sheet(ctx, shown(), lines); };
  const pixels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const kinds = {
    PNG: () => new Promise((done) => { sheet(index(), [title, `frame ${index()} of ${count - 1}`]).toBlob(done); }),
    GIF: () => fe.gif(count, (i) => pixels(sheet(i, [title])), fps, title),
  };
  const button = (kind, label) => {
    const node = fe.button(label, async () => {
      node.disabled = true;
      await load();
      const link = fe.el("a", { href: URL.createObjectURL(await kinds[kind]()), download: `${title.replace(/\W+/g, "_")}.${kind.toLowerCase()}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      draw(index());
      node.disabled = false;
      ctx.announce(`${kind} saved`);
    }, { text: kind });
    return node;
  };
  return [button("PNG", "Save this frame as PNG"), button("GIF", "Save the clip as GIF")];
};

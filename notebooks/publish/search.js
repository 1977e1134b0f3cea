// Sections of the lessons that hold every word typed, those that have them in their titles first.
const box = document.getElementById("search");
const list = document.getElementById("found");
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const score = ({ title, words: text }) => {
    const [head, all] = [title.toLowerCase(), `${title} ${text}`.toLowerCase()];
    return words.every((word) => all.includes(word)) ? 1 + words.filter((word) => head.includes(word)).length : 0;
  };
  const hits = words.length ? SECTIONS.map((one) => [score(one), one]).filter(([value]) => value) : [];
  hits.sort((a, b) => b[0] - a[0]);
  list.replaceChildren(...hits.slice(0, 12).map(([, { where, title, words: text }]) => {
    const [item, link] = [document.createElement("li"), document.createElement("a")];
    link.href = where;
    link.textContent = title;
    const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
    item.append(link, ` … ${text.slice(at, at + 120)} …`);
    return item;
  }));
});

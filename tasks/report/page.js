"use strict";
(() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search);
  const speak = (language) => {
    root.dataset.language = language;
    root.lang = language === "zh" ? "zh-CN" : "en";
  };
  speak(asked.get("language") || ((navigator.language || "").startsWith("zh") ? "zh" : "en"));
  if (asked.get("theme")) root.dataset.theme = asked.get("theme");
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("language").onclick = () => speak(root.dataset.language === "zh" ? "en" : "zh");
  document.getElementById("theme").onclick = () => (root.dataset.theme = isDark() ? "light" : "dark");
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));

  const number = (value) =>
    Math.abs(value) >= 10000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(5)));
  const nearest = (points, x) => {
    let low = 0;
    let high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle;
      else high = middle;
    }
    return x - points[low][0] < points[high][0] - x ? points[low] : points[high];
  };
  for (const plot of document.querySelectorAll("[data-plot]")) {
    const { lines, left, right } = JSON.parse(plot.dataset.plot);
    const guide = Object.assign(document.createElement("div"), { className: "guide", hidden: true });
    const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
    plot.append(guide, tip);
    plot.onpointerleave = () => (guide.hidden = tip.hidden = true);
    plot.onpointermove = (event) => {
      const box = plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const x = left + share * (right - left);
      const found = lines.map((line) => [line, nearest(line.p, x)]);
      const at = found.reduce((best, one) => (Math.abs(one[1][0] - x) < Math.abs(best - x) ? one[1][0] : best), Infinity);
      tip.replaceChildren();
      for (const text of [number(at), ...found.map(([line, p]) => `${line[root.dataset.language]}: ${number(p[1])}`)]) {
        tip.append(Object.assign(document.createElement("div"), { textContent: text }));
      }
      guide.hidden = tip.hidden = false;
      guide.style.left = `${(100 * (at - left)) / (right - left)}%`;
      tip.style.left = share < 0.5 ? `calc(${100 * share}% + 12px)` : "auto";
      tip.style.right = share < 0.5 ? "auto" : `calc(${100 * (1 - share)}% + 12px)`;
    };
  }
})();

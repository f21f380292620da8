(() => {
  const seen = (node) => node.parentElement && node.parentElement.checkVisibility();
  const name = (node) => node.textContent.trim().slice(0, 40);
  const boxes = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (!node.textContent.trim() || !seen(node) || node.parentElement.closest("title")) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) found.push({ node, box });
    }
    return found;
  };
  const overlaps = [];
  for (const root of document.querySelectorAll("header, nav, .tiles, figure, dl, .scroll")) {
    const texts = boxes(root);
    texts.forEach((one, at) => {
      for (const two of texts.slice(at + 1)) {
        if (one.node === two.node) continue;
        const width = Math.min(one.box.right, two.box.right) - Math.max(one.box.left, two.box.left);
        const height = Math.min(one.box.bottom, two.box.bottom) - Math.max(one.box.top, two.box.top);
        if (width > 1 && height > 3) overlaps.push(`${name(one.node)} | ${name(two.node)}`);
      }
    });
  }
  const cut = boxes(document.body)
    .filter(({ node, box }) => !node.parentElement.closest(".scroll, pre") && (box.left < -1 || box.right > innerWidth + 1))
    .map(({ node }) => name(node));
  const drawn = [...document.querySelectorAll("figure")].map((figure) => {
    const box = figure.getBoundingClientRect();
    const marks = [...figure.querySelectorAll(".track > i, svg > path:not(.grid), svg > rect")];
    // dots are round ends of lines without length: their box is empty
    const isShown = (mark, { width, height }) => mark.matches(".big, .dots") || width > 0 || height > 0;
    const shown = marks.filter((mark) => isShown(mark, mark.getBoundingClientRect()));
    return { title: name(figure.querySelector("figcaption")), area: box.width * box.height, marks: shown.length };
  });
  return {
    overlaps,
    cut,
    drawn,
    wide: document.documentElement.scrollWidth - innerWidth,
    title: document.title,
    language: document.documentElement.lang,
    ground: getComputedStyle(document.body).backgroundColor,
    text: document.body.innerText,
  };
})()

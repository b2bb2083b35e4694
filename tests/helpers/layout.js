// What a person would see wrong on the page, in the window as it is: a list of lines.
() => {
  const shown = element => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const name = element => (element.getAttribute("aria-label") || element.innerText || element.id).trim().slice(0, 40);
  const found = [];

  if (document.documentElement.scrollWidth > innerWidth)
    found.push(`the page is ${document.documentElement.scrollWidth} wide`);

  // Texts that run over each other, as far as nothing cuts them off.
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !shown(parent) || parent.closest(".hidden, .skip, select, script, style, title")) continue;
    if (parseFloat(getComputedStyle(parent).fontSize) < 12) found.push(`"${text.slice(0, 40)}" is tiny`);
    if (parent.closest("svg")) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const clips = [];
    for (let at = parent; at; at = at.parentElement)
      if (getComputedStyle(at).overflowX !== "visible") clips.push(at.getBoundingClientRect());
    for (const { left, right, top, bottom } of range.getClientRects()) {
      const room = (bottom - top) * 0.2;
      const box = { left, right, top: top + room, bottom: bottom - room, node: walker.currentNode, text };
      for (const clip of clips) {
        box.left = Math.max(box.left, clip.left);
        box.right = Math.min(box.right, clip.right);
        box.top = Math.max(box.top, clip.top);
        box.bottom = Math.min(box.bottom, clip.bottom);
      }
      if (box.right > box.left && box.bottom > box.top) boxes.push(box);
    }
  }
  boxes.forEach((a, index) => {
    for (const b of boxes.slice(index + 1))
      if (a.node !== b.node && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
        found.push(`"${a.text.slice(0, 40)}" runs over "${b.text.slice(0, 40)}"`);
  });

  // What one presses is inside the window, unless it is in a part that is made to be moved sideways.
  const controls = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")]
    .filter(one => shown(one) && !one.closest(".hidden, .skip"));
  for (const control of controls) {
    const { right, left } = control.getBoundingClientRect();
    if ((right > innerWidth + 1 || left < -1) && !control.closest("[role=region][tabindex]"))
      found.push(`"${name(control)}" is cut off at ${Math.round(right)}`);
  }

  // Where the keyboard is can be seen.
  for (const control of controls.slice(0, 40)) {
    control.focus({ preventScroll: true });
    const { outlineStyle, outlineWidth } = getComputedStyle(control);
    if (document.activeElement === control && (outlineStyle === "none" || parseFloat(outlineWidth) < 2))
      found.push(`"${name(control)}" does not show that it has the focus`);
  }
  document.activeElement?.blur();
  return [...new Set(found)].slice(0, 10);
}

// What CSS cannot mend in Gradio's components: a box that scrolls is reached by keyboard, and the editor's colours can be read.
(() => {
  const SCROLLS = ".prose pre, .cm-content";
  const TOKEN = /^\.ͼ\w+$/; // a class that CodeMirror made up for a kind of word

  // Some of its light colours have 2:1 on white. Halfway to the ink of the mode that is on, all pass 4.5:1.
  const darken = (rule) => {
    const { color } = rule.style;
    if (color.startsWith("rgb")) rule.style.color = `color-mix(in srgb, ${color} 50%, var(--ink))`;
  };
  const mend = () => {
    document.querySelectorAll(SCROLLS).forEach((node) => node.hasAttribute("tabindex") || node.setAttribute("tabindex", "0"));
    if (!document.querySelector(".cm-editor")) return;
    for (const sheet of document.styleSheets) {
      if (!(sheet.ownerNode && sheet.ownerNode.textContent.includes("ͼ"))) continue;
      [...sheet.cssRules].filter((rule) => TOKEN.test(rule.selectorText)).forEach(darken);
    }
  };

  let waiting = null;
  const later = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      mend();
    }, 200);
  };
  new MutationObserver(later).observe(document.documentElement, { childList: true, subtree: true });
})();

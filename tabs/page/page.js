// What CSS cannot mend in Gradio's components: a box that scrolls is reached by keyboard, one that is named has a role; paper is
// never dark.
(() => {
  const SCROLLS = ".prose pre, .cm-content";

  const mend = () => {
    document.querySelectorAll(".empty[aria-label]:not([role])").forEach((node) => node.setAttribute("role", "img")); // a box that shows nothing yet
    document.querySelectorAll(SCROLLS).forEach((node) => node.hasAttribute("tabindex") || node.setAttribute("tabindex", "0"));
  };

  let dark = false;
  addEventListener("beforeprint", () => {
    dark = document.body.classList.contains("dark");
    document.body.classList.remove("dark");
  });
  addEventListener("afterprint", () => document.body.classList.toggle("dark", dark));

  let waiting = null;
  const later = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      mend();
    }, 200);
  };
  new MutationObserver(later).observe(document.documentElement, { childList: true, subtree: true });
})();

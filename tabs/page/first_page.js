// Before Gradio starts: the tab that the link names is opened, and its first picture is drawn from what the page already holds.
// The picture is the figure itself. It answers at once, and moves to its place when Gradio has made one (figure.js, progress.view.js).
(() => {
  const { components, layout, css } = window.gradio_config;
  if (!layout) return; // a page that asks for a password has none
  const byId = new Map(components.map((one) => [one.id, one]));
  const query = new URLSearchParams(location.search);
  const nodesOf = (type, from) => [...(byId.get(from.id)?.type === type ? [from] : []), ...(from.children ?? []).flatMap((child) => nodesOf(type, child))];

  // Opens the tab that a link means and says where it stands in the layout; without such a tab, the first one. A link as people
  // write it, `?lab=2` or `?tab=Labs`, becomes the address that the page itself would have made.
  const open = (elemId, key, asked) => {
    const strip = nodesOf("tabs", layout).find(({ id }) => byId.get(id).props.elem_id === elemId);
    const named = strip.children.find(({ id }) => byId.get(id).props.id === asked?.toLowerCase());
    if (!named) return { strip, panel: strip.children[0] };
    const wanted = byId.get(named.id).props.id;
    byId.get(strip.id).props.selected = wanted;
    if (query.get(key) !== wanted) {
      query.set(key, wanted);
      history.replaceState(null, "", `${location.pathname}?${query}${location.hash}`);
    }
    return { strip, panel: named };
  };
  const { strip, panel } = open("tabs", "tab", query.get("tab") || (["room", "lab", "attempt", "task"].some((key) => query.get(key)) ? "labs" : null));
  open("rooms", "room", query.get("room"));

  const figures = nodesOf("html", panel).map(({ id }) => byId.get(id)).filter(({ props }) => props.props?.ids);
  const linked = figures.find(({ props }) => query.get("state")?.startsWith(`${props.props.id}.`)) ?? figures[0];
  const whole = nodesOf("html", panel).map(({ id }) => byId.get(id)).find(({ props }) => ["progress", "references"].includes(props.elem_id));
  const drawn = linked ?? whole;
  if (!drawn || !window.Figures) return;

  const early = document.createElement("div");
  early.id = "early";
  const element = (tag, className, parent) => {
    const node = document.createElement(tag);
    node.className = className;
    return parent.appendChild(node);
  };
  element("style", "", early).textContent = css;
  const nav = element("nav", "", early);
  for (const { id } of strip.children) {
    const link = element("a", "", nav), { props } = byId.get(id);
    link.href = `?tab=${props.id}`;
    link.textContent = props.label;
    if (id === panel.id) link.setAttribute("aria-current", "page");
  }
  // Headings and paragraphs of a text, up to the first that needs more than that.
  const begin = (text, parent) => {
    for (const block of text.trim().split(/\n\s*\n/)) {
      const plain = /^(#{1,2} )?(?![-\d])([^$`*|]+)$/.exec(block);
      if (!plain) return;
      element(plain[1] ? `h${plain[1].trim().length}` : "p", "", parent).innerHTML = plain[2];
    }
  };
  // Rows, columns, what is HTML already, how a text begins; all else comes with Gradio.
  const lay = ({ id, children = [] }, parent) => {
    const { type, props } = byId.get(id);
    if (type === "row" || type === "column") {
      const box = element("div", `early-${type} ${(props.elem_classes ?? []).join(" ")}`, parent);
      if (type === "column") Object.assign(box.style, { flex: `${props.scale} 1 0`, minWidth: `min(${props.min_width}px, 100%)` });
      children.forEach((child) => lay(child, box));
    } else if (type === "html" && byId.get(id) === drawn) {
      const place = element("div", "", parent);
      if (props.value) place.innerHTML = props.value;
      new Function("element", "props", "trigger", "watch", props.js_on_load)(place, props.props, () => {}, () => {});
    } else if (type === "html" && props.value) element("div", "", parent).innerHTML = props.value;
    else if (type === "markdown") begin(props.value, element("div", "early-text", parent));
  };
  document.body.prepend(early); // a figure measures itself
  const isDark = query.get("__theme") ? query.get("__theme") === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.body.classList.toggle("dark", isDark);
  lay(panel.children.find((row) => nodesOf("html", row).some(({ id }) => byId.get(id) === drawn)), early);
})();

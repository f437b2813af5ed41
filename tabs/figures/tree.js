// A picture as plain data, and the smallest change of the page that shows it: attributes move, so a bar can glide and a field keeps its cursor.
const Tree = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const PROPERTIES = new Set(["value", "checked", "disabled", "open", "hidden"]);

  // What is not there keeps its place, as no text: else all that follows would be made anew, and a field lose what is typed into it.
  const clean = (items) => items.flat(Infinity).map((item) => (item === null || item === undefined || item === false ? "" : item));
  // tag is an element's name, or a control: {create(attrs) -> node, update(node, attrs)}.
  const h = (tag, attrs, ...children) => ({ tag, attrs: attrs || {}, children: clean(children) });

  const setAttributes = (node, attrs) => {
    const before = node.shown || {};
    for (const name in before) if (!(name in attrs)) change(node, name, null);
    for (const name in attrs) if (before[name] !== attrs[name]) change(node, name, attrs[name]);
    node.shown = attrs;
  };
  const change = (node, name, value) => {
    if (name.startsWith("on")) node[name] = value;
    else if (PROPERTIES.has(name)) node[name] = value === null ? "" : value;
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  };

  const make = (item, svg) => {
    if (typeof item !== "object") return document.createTextNode(item);
    if (typeof item.tag === "object") {
      const node = item.tag.create(item.attrs);
      node.control = item.tag;
      item.tag.update(node, item.attrs);
      return node;
    }
    const node = svg || item.tag === "svg" ? document.createElementNS(SVG, item.tag) : document.createElement(item.tag);
    node.made = item.tag;
    setAttributes(node, item.attrs);
    show(node, item.children, svg || item.tag === "svg");
    return node;
  };

  // Makes `parent`'s children look like `items`.
  const show = (parent, items, svg = false) => {
    items.forEach((item, i) => {
      const node = parent.childNodes[i];
      if (!node) parent.appendChild(make(item, svg));
      else if (typeof item !== "object") {
        if (node.nodeType !== Node.TEXT_NODE) parent.replaceChild(make(item, svg), node);
        else if (node.data !== String(item)) node.data = item;
      } else if (typeof item.tag === "object") {
        if (node.control === item.tag) item.tag.update(node, item.attrs);
        else parent.replaceChild(make(item, svg), node);
      } else if (node.made !== item.tag) parent.replaceChild(make(item, svg), node);
      else {
        setAttributes(node, item.attrs);
        show(node, item.children, svg || item.tag === "svg");
      }
    });
    while (parent.childNodes.length > items.length) parent.lastChild.remove();
  };

  return { h, show: (parent, items) => show(parent, clean(items)) };
})();

// What a reader takes hold of. A number is dragged, typed or stepped by arrow keys, the same in every figure;
// what cannot be a number is answered beside the field and changes nothing.
const Controls = (() => {
  let count = 0;
  const PIXELS_PER_STEP = 4, STILL = 3;

  const element = (tag, className, parent) => {
    const node = document.createElement(tag);
    node.className = className;
    if (parent) parent.appendChild(node);
    return node;
  };
  const tidy = (value, { rule, step, digits }) => Math.min(rule.max, Math.max(rule.min, Number((Math.round(value / step) * step).toFixed(digits))));
  // One step of a logarithmic number doubles it.
  const stepped = (value, steps, attrs) => {
    if (!attrs.log) return tidy((value === null ? 0 : value) + steps * attrs.step, attrs);
    return tidy(value * 2 ** steps, attrs);
  };

  // attrs: label, rule, value, step, digits (of a step), log, role (a quantity's colour), unit, onValue(value, {dragging});
  // next(value, steps) where arrow keys do not go by `step`; text stands for a value that no number is (inf)
  const Field = {
    create() {
      const node = element("span", "fig-field"), id = `fig-field-${++count}`;
      const label = element("label", "fig-label", node), input = element("input", "fig-number", node);
      const unit = element("span", "fig-unit", node), error = element("span", "fig-error", node);
      label.htmlFor = input.id = id;
      error.id = `${id}-error`;
      error.setAttribute("role", "alert");
      input.type = "text";
      input.inputMode = "decimal";
      input.autocomplete = "off";
      input.spellcheck = false;
      input.setAttribute("role", "spinbutton");
      Object.assign(node, { label, input, unit, error });

      node.complain = (sentence) => {
        error.textContent = sentence || "";
        input.toggleAttribute("aria-invalid", Boolean(sentence));
        if (sentence) input.setAttribute("aria-invalid", "true");
        if (sentence) input.setAttribute("aria-describedby", error.id);
        else input.removeAttribute("aria-describedby");
      };
      const give = (value, dragging = false) => {
        node.complain(null);
        node.attrs.onValue(value, { dragging });
      };
      input.addEventListener("input", () => {
        const { value, error: sentence } = Numbers.parse(input.value, node.attrs.rule);
        if (sentence) node.complain(sentence);
        else give(value);
      });
      input.addEventListener("keydown", (event) => {
        const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
        if (event.key === "Escape" || event.key === "Enter") {
          if (event.key === "Escape") node.complain(null);
          node.write(node.error.textContent !== "");
          input.select();
        } else if (steps) {
          event.preventDefault();
          const { next, log, value: from } = node.attrs, value = next ? next(from, steps) : stepped(from, log ? Math.sign(steps) : steps * (event.shiftKey ? 10 : 1), node.attrs);
          give(value);
          input.value = Numbers.typed(value);
        }
      });
      input.addEventListener("blur", () => node.write(node.error.textContent !== ""));

      let start = null;
      input.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || document.activeElement === input) return;
        event.preventDefault();
        start = { x: event.clientX, value: node.attrs.value === null ? 0 : node.attrs.value, moved: false };
        input.setPointerCapture(event.pointerId);
      });
      input.addEventListener("pointermove", (event) => {
        if (!start) return;
        if (!event.buttons) return release(event); // let go while the figure moved to another place in the page
        const distance = event.clientX - start.x;
        if (!start.moved && Math.abs(distance) < STILL) return;
        if (!start.moved) document.documentElement.classList.add("fig-dragging");
        start.moved = true;
        const steps = node.attrs.log ? Math.round(distance / 24) : Math.round(distance / PIXELS_PER_STEP);
        const value = stepped(start.value, steps, node.attrs);
        if (value !== node.attrs.value) give(value, true);
      });
      const release = (event) => {
        if (!start) return;
        const { moved } = start;
        start = null;
        document.documentElement.classList.remove("fig-dragging");
        if (event.type === "pointerup" && !moved) {
          input.focus();
          input.select();
        }
      };
      input.addEventListener("pointerup", release);
      input.addEventListener("pointercancel", release);
      // The field's text follows the state, save where the reader is typing or was refused.
      node.write = (refused) => {
        if (!refused) input.value = node.attrs.text || Numbers.typed(node.attrs.value);
      };
      return node;
    },
    update(node, attrs) {
      const before = node.attrs;
      node.attrs = { step: 0.1, digits: 2, ...attrs };
      node.className = `fig-field ${attrs.role || ""} ${attrs.quiet ? "quiet" : ""}`;
      node.label.textContent = attrs.label;
      node.unit.textContent = attrs.unit || "";
      node.input.style.setProperty("--chars", attrs.chars || 6);
      const { rule } = attrs;
      node.input.setAttribute("aria-valuemin", Numbers.plainly(rule.min));
      node.input.setAttribute("aria-valuemax", Numbers.plainly(rule.max));
      node.input.setAttribute("aria-valuenow", Numbers.plainly(attrs.value === null ? rule.min : attrs.value));
      if (attrs.value === null) node.input.setAttribute("aria-valuetext", "masked");
      else node.input.removeAttribute("aria-valuetext");
      const changed = !before || before.value !== attrs.value;
      if (changed && node.error.textContent) node.complain(null);
      if (document.activeElement !== node.input) node.write(node.error.textContent !== "");
      else if (changed && !attrs.text && Numbers.parse(node.input.value, rule).value !== attrs.value) node.write(false);
    },
  };

  // A track for a number that is swept rather than typed; its Field stands beside it.
  const Track = {
    create() {
      const node = element("input", "fig-track");
      node.type = "range";
      const hold = (on) => document.documentElement.classList.toggle("fig-dragging", on);
      node.addEventListener("input", () => {
        const { rule, log } = node.attrs, at = Number(node.value);
        node.attrs.onValue(tidy(log ? 2 ** at : at, node.attrs), { dragging: true });
      });
      node.addEventListener("pointerdown", () => hold(true));
      for (const end of ["pointerup", "pointercancel", "blur"]) node.addEventListener(end, () => hold(false));
      return node;
    },
    update(node, attrs) {
      node.attrs = { step: 0.1, digits: 2, ...attrs };
      const { rule, log, step } = node.attrs, place = (value) => (log ? Math.log2(value) : value);
      node.className = `fig-track ${attrs.role || ""}`;
      node.min = place(attrs.least === undefined ? rule.min : attrs.least);
      node.max = place(attrs.most === undefined ? rule.max : attrs.most);
      node.step = log ? 1 : step;
      node.setAttribute("aria-label", attrs.label);
      node.setAttribute("aria-valuetext", `${Numbers.typed(attrs.value)} ${attrs.unit || ""}`.trim());
      node.value = place(attrs.value);
    },
  };

  // Many numbers at once. attrs: label, rule (a list), value, onValue
  const NumberList = {
    create() {
      const node = element("span", "fig-list"), id = `fig-list-${++count}`;
      const label = element("label", "fig-label", node), input = element("textarea", "fig-numbers", node);
      const error = element("span", "fig-error", node);
      label.htmlFor = input.id = id;
      input.rows = 2;
      input.spellcheck = false;
      error.id = `${id}-error`;
      error.setAttribute("role", "alert");
      Object.assign(node, { label, input, error });
      node.complain = (sentence) => {
        error.textContent = sentence || "";
        if (sentence) input.setAttribute("aria-invalid", "true");
        else input.removeAttribute("aria-invalid");
        input.setAttribute("aria-describedby", error.id);
      };
      input.addEventListener("input", () => {
        const { value, error: sentence } = Numbers.parseList(input.value, node.attrs.rule);
        node.complain(sentence);
        if (!sentence) node.attrs.onValue(value, { dragging: false });
      });
      return node;
    },
    update(node, attrs) {
      const before = node.attrs, text = attrs.value.map(Numbers.typed).join(" ");
      node.attrs = { ...attrs, text };
      node.label.textContent = attrs.label;
      if (document.activeElement === node.input || (before && before.text === text)) return;
      node.complain(null);
      node.input.value = text;
    },
  };

  const { h } = Tree;
  const button = (text, onclick, attrs) => h("button", { type: "button", class: "fig-button", onclick, ...attrs }, text);
  const toggle = (text, on, onclick, attrs) => h("button", { type: "button", class: "fig-toggle", "aria-pressed": String(on), onclick, ...attrs }, text);
  // One of several: a row of toggles under a name.
  const choice = (label, options, chosen, choose) =>
    h("div", { class: "fig-choice", role: "group", "aria-label": label }, h("span", { class: "fig-label" }, label),
      options.map(([value, text]) => toggle(text, value === chosen, () => choose(value))));

  return { Field, Track, NumberList, button, toggle, choice };
})();

// A figure of the chapter: a state that obeys its rules, a view of it, and what every figure has: guided and free mode, Reset,
// a link that holds the state, a table twin, the value under the pointer explained, a spoken summary.
const Figure = (() => {
  const { h } = Tree;
  const FIRST_WIDTH = 560, WIDEST = 680, NARROWEST = 280;

  // Masked cells are hatched in every figure: the pattern stands once in the page.
  const hatch = () => {
    if (document.getElementById("fig-hatch")) return;
    document.body.insertAdjacentHTML("beforeend", `<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>
      <pattern id="fig-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="6" height="6" fill="var(--panel)"/><line x1="0" y1="0" x2="0" y2="6" stroke="var(--muted)" stroke-width="1.5"/></pattern></defs></svg>`);
  };

  const copy = (value) => JSON.parse(JSON.stringify(value));
  const at = (tree, path) => path.split(".").reduce((node, key) => node[key], tree);
  const ruleAt = (rules, path) => path.split(".").reduce((rule, key) => (rule.kind === "list" ? rule.item : rule[key]), rules);
  const withValue = (state, path, value) => {
    const next = copy(state), keys = path.split("."), last = keys.pop();
    keys.reduce((node, key) => node[key], next)[last] = value;
    return next;
  };

  // The link's state: `?tab=<tab>&state=<figure>.<base64url of its JSON>`.
  const encode = (id, state) => `${id}.${btoa(JSON.stringify(state)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")}`;
  const decode = (text, rules) => {
    let state;
    try {
      state = JSON.parse(atob(text.replace(/-/g, "+").replace(/_/g, "/")));
    } catch {
      return { error: "it is cut short or mistyped" };
    }
    const error = Numbers.check(state, rules);
    return error ? { error: error.replace(/\.$/, "") } : { state };
  };
  // What the address says to this figure. A broken link is answered by the figure that it names, or by the tab's first.
  const fromAddress = (search, { id, tab, lead, ids }, rules) => {
    const query = new URLSearchParams(search), link = query.get("state");
    if (query.get("tab") !== tab || link === null) return {};
    const dot = link.indexOf("."), named = link.slice(0, Math.max(dot, 0));
    if (named === id) return { ...decode(link.slice(dot + 1), rules), mine: true };
    return lead && !ids.includes(named) ? { error: "it names no figure of this tab" } : {};
  };

  // The beginning of the text stays until the text is there, which waits for what draws its equations.
  const keepText = (text, column) => {
    const come = () => [...column.querySelectorAll("h1, h2")].some((heading) => !text.contains(heading));
    if (!text || !column || come()) return;
    column.prepend(text);
    new MutationObserver((_, watch) => come() && (text.remove(), watch.disconnect())).observe(column, { childList: true, subtree: true });
  };
  // A figure that was drawn before Gradio had a place for it (first_page.js) moves in, as the reader left it.
  const settle = (early, element) => {
    const held = early.contains(document.activeElement) ? document.activeElement : null;
    element.replaceChildren(early);
    keepText(document.querySelector("#early .early-text"), element.closest(".section")?.querySelector(".section-text"));
    document.getElementById("early").remove();
    if (held) held.focus({ preventScroll: true });
    return early.figure;
  };

  // spec: rules, view(state, api), twin(state), say(state), check(state) -> sentence or null (beyond the rules)
  const mount = (element, props, spec) => {
    const { id, tab, title, defaults, cards } = props, { rules } = spec;
    const early = document.querySelector(`#early #figure-${id}`);
    if (early && !element.closest("#early")) return settle(early, element);
    const link = fromAddress(location.search, props, rules);
    const refusal = (state) => Numbers.check(state, rules) || (spec.check ? spec.check(state) : null);
    const linked = link.state && !refusal(link.state);
    let state = linked ? link.state : copy(link.error || link.state ? defaults : { ...defaults, ...props.opening });
    let notice = link.error || (link.state && !linked) ? `This link could not be read (${link.error || refusal(link.state).replace(/\.$/, "")}); here is the figure as it starts.` : "";
    let guide = null, asked = false, player = null, spoken = null, width = FIRST_WIDTH;

    hatch();
    const root = document.createElement("section");
    root.className = "fig";
    root.id = `figure-${id}`;
    root.setAttribute("aria-label", title);
    element.replaceChildren(root);

    const draw = () => {
      asked = false;
      Tree.show(root, whole());
      clearTimeout(spoken);
      spoken = setTimeout(() => {
        if (!root.isConnected) return;
        root.querySelector(".fig-spoken").textContent = spec.say(state);
        drawTwin();
      }, 350);
    };
    const ask = () => {
      if (!asked) requestAnimationFrame(draw);
      asked = true;
    };
    const set = (patch) => {
      const next = { ...state, ...patch }, error = refusal(next);
      if (error) {
        notice = error;
      } else {
        notice = "";
        state = next;
      }
      ask();
    };
    const stop = () => {
      clearInterval(player);
      player = null;
    };
    // Calls `advance` until it returns false; a second press pauses.
    const play = (advance, pause_ms = 700) => {
      if (player) stop();
      else {
        const go = () => {
          if (!root.isConnected || advance() === false) stop();
          ask();
        };
        player = setInterval(go, pause_ms);
        go();
      }
      ask();
    };
    const reset = (patch = {}) => {
      stop();
      notice = "";
      state = { ...copy(defaults), ...copy(patch) };
      root.querySelectorAll(".fig-field, .fig-list").forEach((field) => {
        field.complain(null);
        if (field.write) field.write(false);
      });
      if (document.activeElement && root.contains(document.activeElement) && document.activeElement.matches("input, textarea")) document.activeElement.blur();
      ask();
    };

    const bound = (path, attrs) => ({ rule: ruleAt(rules, path), value: at(state, path), ...attrs, onValue: (value) => set(withValue(state, path, value)) });
    const api = {
      set, reset, play, stop,
      redraw: ask, // what is shown beside the state has changed
      get playing() { return player !== null; },
      get state() { return state; },
      get width() { return width; },
      field: (path, attrs) => h(Controls.Field, bound(path, attrs)),
      numbers: (path, attrs) => h(Controls.NumberList, bound(path, attrs)),
      slider: (path, attrs) => h("div", { class: "fig-slider" }, h(Controls.Field, bound(path, attrs)), h(Controls.Track, bound(path, attrs))),
      choice: (path, label, options) => Controls.choice(label, options, at(state, path), (value) => set(withValue(state, path, value))),
      toggle: (path, text) => Controls.toggle(text, at(state, path), () => set(withValue(state, path, !at(state, path)))),
    };

    // Guided mode: one card at a time; what the reader predicts is asked before it is shown.
    const enter = (index) => {
      guide = { index, picked: null };
      reset(cards[index].before);
    };
    const pick = (index) => {
      guide.picked = index;
      reset({ ...cards[guide.index].before, ...cards[guide.index].after });
    };
    const card = () => {
      if (!guide) return null;
      const { text, ask: question, options, right } = cards[guide.index], { picked } = guide;
      return h("div", { class: "fig-card" },
        h("p", { class: "fig-count" }, `${guide.index + 1} of ${cards.length}`),
        h("p", {}, text), h("p", { class: "fig-ask" }, question),
        h("div", { class: "fig-options" }, options.map((option, i) =>
          h("button", { type: "button", class: `fig-option ${picked === null ? "" : i === right ? "good" : i === picked ? "bad" : "rest"}`, disabled: picked !== null, onclick: () => pick(i) },
            picked !== null && i === right ? "✓ " : picked === i ? "✗ " : "", option.text))),
        h("p", { class: "fig-explain", "aria-live": "polite" }, picked === null ? "" : options[picked].why),
        h("div", { class: "fig-options" },
          Controls.button("Back", () => enter(guide.index - 1), { disabled: guide.index === 0 }),
          Controls.button(guide.index + 1 < cards.length ? "Next" : "Finish", () => (guide.index + 1 < cards.length ? enter(guide.index + 1) : leave()), { disabled: picked === null })));
    };
    const leave = () => {
      guide = null;
      ask();
    };

    const share = async () => {
      const url = new URL(location.href);
      url.search = new URLSearchParams({ tab, state: encode(id, state) });
      url.hash = "";
      history.replaceState(history.state, "", url);
      try {
        await navigator.clipboard.writeText(url.href);
        notice = "Link copied: it opens this figure as it stands.";
      } catch {
        notice = "The address bar now holds the link to this figure as it stands.";
      }
      ask();
    };

    const twin = () => {
      const { caption, head, rows } = spec.twin(state);
      return [h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, head.map((cell) => (cell === "" ? h("td", {}) : h("th", { scope: "col" }, cell))))),
        h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) => (i ? h("td", {}, String(cell)) : h("th", { scope: "row" }, String(cell))))))))];
    };
    const drawTwin = () => Tree.show(root.querySelector(".fig-twin-body"), twin());

    const whole = () => [
      h("div", { class: "fig-head" }, h("h3", {}, title),
        cards.length ? h("div", { class: "fig-modes", role: "group", "aria-label": `${title}: mode` },
          Controls.toggle("Free", !guide, leave), Controls.toggle("Guided", Boolean(guide), () => (guide ? null : enter(0)))) : null),
      h(Still, { class: "fig-card-place", items: [card()] }),
      h(Still, { class: "fig-body", items: [].concat(spec.view(state, api)) }),
      h(Still, { class: "fig-why", items: null, first: "" }),
      h("div", { class: "fig-foot" }, Controls.button("Reset", () => (guide ? enter(guide.index) : reset())), props.unlinked ? null : Controls.button("Copy link", share),
        h("span", { class: "fig-notice", role: "status" }, notice)),
      h("details", { class: "fig-twin" }, h("summary", {}, "As a table"), h(Still, { class: "fig-twin-body", items: null, first: "", reached: `${title}, as a table` })),
      h(Still, { class: "fig-spoken", items: null, first: "", live: true }),
    ];

    root.addEventListener("pointerover", (event) => {
      const told = event.target.closest("[data-why]");
      if (told) root.querySelector(".fig-why").textContent = told.dataset.why;
    });
    root.addEventListener("toggle", (event) => event.target.matches(".fig-twin") && drawTwin(), true);
    window.addEventListener("figures:show", (event) => {
      if (event.detail.id !== id || !root.isConnected) return;
      guide = null;
      reset(event.detail.state);
      root.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    });
    root.figure = api;

    draw();
    drawTwin();
    new ResizeObserver(() => {
      const room = root.querySelector(".fig-body").clientWidth;
      const next = Math.round(Math.min(WIDEST, Math.max(NARROWEST, room)));
      if (room && next !== width) {
        width = next;
        ask();
      }
    }).observe(root);
    if (link.mine) setTimeout(() => root.scrollIntoView({ block: "nearest" }), 50);
    return api;
  };

  // A box whose content is drawn as given, or (items: null) is written by others.
  const Still = {
    create(attrs) {
      const node = document.createElement("div");
      node.textContent = attrs.items ? "" : attrs.first;
      if (attrs.live) node.setAttribute("aria-live", "polite");
      // A box that scrolls must be reached by keyboard, too.
      if (attrs.reached) Object.entries({ tabindex: 0, role: "group", "aria-label": attrs.reached }).forEach(([name, value]) => node.setAttribute(name, value));
      return node;
    },
    update(node, attrs) {
      if (node.className !== attrs.class) node.className = attrs.class;
      if (attrs.items) Tree.show(node, attrs.items);
    },
  };

  const show = (id, state) => window.dispatchEvent(new CustomEvent("figures:show", { detail: { id, state } }));
  return { mount, show, encode, decode, fromAddress };
})();

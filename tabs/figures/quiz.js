// One question: pick an answer and read why; after a wrong one pick another; after the right one read of all, and see it in a figure.
const Quiz = (() => {
  const { h } = Tree;
  // props: id, number, question, transfer, options [{text, why, right}], show {figure, state, label} or null
  const mount = (element, props) => {
    const root = document.createElement("section");
    root.className = "quiz";
    root.id = `quiz-${props.id}`;
    root.setAttribute("aria-label", `Question ${props.number}`);
    element.replaceChildren(root);
    let picked = null, open = false; // open: every explanation is shown
    const tried = new Set(); // what was wrong stays so, and is not picked again

    const pick = (i) => {
      picked = i;
      tried.add(i);
      open = props.options[i].right;
      Progress.record(props.id, open);
      draw();
      root.querySelector(".quiz-why").focus();
    };
    const reveal = () => {
      open = true;
      draw();
      root.querySelector(".quiz-why").focus();
    };
    const state = (option, i) => (open && option.right ? "good" : tried.has(i) ? "bad" : open ? "rest" : "");
    const draw = () => {
      const kept = Progress.read().quiz[props.id], done = Boolean(kept && kept.right), answer = picked === null ? null : props.options[picked];
      const others = props.options.filter((option) => option !== answer);
      Tree.show(root, [
        h("p", { class: "quiz-count" }, `Question ${props.number}${props.transfer ? ", to carry it further" : ""}`, done ? h("span", { class: "quiz-done" }, " ✓ answered") : ""),
        h("p", { class: "quiz-question" }, props.question),
        h("div", { class: "quiz-options" }, props.options.map((option, i) =>
          h("button", { type: "button", class: `quiz-option ${state(option, i)}`, disabled: open || tried.has(i), onclick: () => pick(i) },
            open && option.right ? "✓ " : tried.has(i) ? "✗ " : "", option.text))),
        h("div", { class: "quiz-why", tabindex: -1, "aria-live": "polite" },
          answer ? h("p", {}, h("b", {}, answer.right ? "Right. " : "Not this one: pick another. "), answer.why) : "",
          open ? h("dl", { class: "quiz-others" }, others.flatMap((option) => [h("dt", {}, option.text), h("dd", {}, option.why)])) : ""),
        h("div", { class: "quiz-after" },
          done && !open && picked === null ? h("button", { type: "button", class: "fig-button", onclick: reveal }, "Show why") : "",
          props.show && (answer || open) ? h("button", { type: "button", class: "fig-button", onclick: () => Figure.show(props.show.figure, props.show.state) }, props.show.label) : ""),
      ]);
    };
    draw();
  };
  return { mount };
})();

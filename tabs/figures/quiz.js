// One question: one try at a time, an explanation for every option, retry, and a figure that shows it.
const Quiz = (() => {
  const { h } = Tree;
  // props: id, number, question, options [{text, why, right}], show {figure, state, label} or null
  const mount = (element, props) => {
    const root = document.createElement("section");
    root.className = "quiz";
    root.id = `quiz-${props.id}`;
    root.setAttribute("aria-label", `Question ${props.number}`);
    element.replaceChildren(root);
    let picked = null;

    const pick = (i) => {
      picked = i;
      Progress.record(props.id, props.options[i].right);
      draw();
      root.querySelector(".quiz-why").focus();
    };
    const again = () => {
      picked = null;
      draw();
      root.querySelector(".quiz-option").focus();
    };
    const state = (option, i) => (picked === null ? "" : i !== picked ? "rest" : option.right ? "good" : "bad");
    const draw = () => {
      const kept = Progress.read().quiz[props.id], answer = picked === null ? null : props.options[picked];
      Tree.show(root, [
        h("p", { class: "quiz-count" }, `Question ${props.number}`, kept && kept.right ? h("span", { class: "quiz-done" }, " ✓ answered") : ""),
        h("p", { class: "quiz-question" }, props.question),
        h("div", { class: "quiz-options" }, props.options.map((option, i) =>
          h("button", { type: "button", class: `quiz-option ${state(option, i)}`, disabled: picked !== null, onclick: () => pick(i) },
            picked !== i ? "" : option.right ? "✓ " : "✗ ", option.text))),
        h("div", { class: "quiz-why", tabindex: -1, "aria-live": "polite" }, answer ? h("p", {}, h("b", {}, answer.right ? "Right. " : "Not this one. "), answer.why) : ""),
        h("div", { class: "quiz-after" },
          answer && !answer.right ? h("button", { type: "button", class: "fig-button", onclick: again }, "Try again") : "",
          props.show ? h("button", { type: "button", class: "fig-button", onclick: () => Figure.show(props.show.figure, props.show.state) }, props.show.label) : ""),
      ]);
    };
    draw();
  };
  return { mount };
})();

// The objectives, a bar each: questions answered right in this browser, labs passed; the list of labs beside it is marked, too.
const { h } = Tree;
const root = document.createElement("div");
root.className = "progress";
element.replaceChildren(root);
if (!element.closest("#early") && document.querySelector("#early .progress")) document.getElementById("early").remove();
const draw = () => {
  const { quiz } = Progress.read(), passed = new Set(props.passed || []);
  document.querySelectorAll(".ladder [data-lab]").forEach((rung) => { rung.querySelector(".passed").textContent = passed.has(rung.dataset.lab) ? "\u2713 passed" : ""; });
  Tree.show(root, [h("ol", { class: "progress-list" }, props.objectives.map(({ number, text, quiz: asked, labs }) => {
    const done = asked.filter((id) => quiz[id] && quiz[id].right).length + labs.filter((lab) => passed.has(lab.id)).length, all = asked.length + labs.length;
    const says = `${done} of ${all} done`;
    return h("li", { class: "progress-row" },
      h("span", { class: "progress-number" }, number === null ? "+" : String(number)),
      h("span", { class: "progress-text" }, text, h("span", { class: "progress-detail" }, `${asked.length} ${asked.length === 1 ? "question" : "questions"}`, labs.map((lab) => [" · ", h("a", { href: `?tab=labs&lab=${lab.id}`, title: lab.title }, `lab ${Number(lab.id.slice(3, 5))}`), passed.has(lab.id) ? " \u2713" : ""]))),
      h("span", { class: "progress-bar", role: "progressbar", "aria-label": text, "aria-valuemin": 0, "aria-valuemax": all, "aria-valuenow": done, "aria-valuetext": says },
        h("span", { class: "progress-fill", style: `width:${all ? (100 * done) / all : 0}%` })),
      h("span", { class: "progress-says" }, done === all && all ? "\u2713 all" : `${done} / ${all}`));
  }))]);
};
watch("passed", draw);
watch("kept", () => {
  if (props.kept) Progress.adopt(props.kept);
  draw();
});
// An answer is told to the account at once where the list is on the page; else when it is shown next.
window.addEventListener("figures:progress", () => {
  draw();
  if (root.isConnected) trigger("shown");
});
draw();

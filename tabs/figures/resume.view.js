// Where the reader last was, as a link: `names` are those of tabs and labs by their ids in the address.
const { h } = Tree;
const place = element.querySelector(".resume");
const show = () => {
  const search = Progress.place(), query = new URLSearchParams(search), name = names[query.get("lab")] || names[query.get("tab")];
  Tree.show(place, name ? ["Continue where you were: ", h("a", { href: search }, name)] : []);
};
window.addEventListener("figures:place", show);
show();

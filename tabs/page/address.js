// The address follows the reader: tab, room, lab, attempt, and the task of the bug hunt. Back and Forward go where he was, the title says where he is.
// A link of ours to another place of this page is followed without loading the page again.
(() => {
  const KEYS = ["tab", "room", "lab", "attempt", "task"];
  const SITE = "Attention kernels";
  const FIRST = { tab: "start", room: "labs" };
  const NOWHERE = { room: "", lab: "", attempt: "", task: "" };
  const place = () => Object.fromEntries(KEYS.map((key) => [key, new URLSearchParams(location.search).get(key) ?? ""]));
  const tabsOf = (strip) => [...document.querySelectorAll(`#${strip} [role=tab]`)].filter((tab) => tab.closest("#rooms, #tabs").id === strip);
  const tabOf = (strip, id) => tabsOf(strip).find((tab) => tab.dataset.tabId === id);
  let onDesk = place(); // the lab and the attempt that the desk shows
  let showing = false; // tabs are pressed by us
  let inLabs = {}; // where the reader was when he left the labs

  const follow = (changes, { instead = false } = {}) => {
    const before = place(), after = { ...before, ...changes };
    if (before.tab === "labs") inLabs = { room: before.room, lab: before.lab, attempt: before.attempt, task: before.task };
    if (after.tab !== "labs") Object.assign(after, NOWHERE);
    if (after.room !== "hunt") after.task = "";
    if (after.tab === FIRST.tab) after.tab = "";
    if (KEYS.some((key) => after[key] !== before[key])) {
      const query = new URLSearchParams(location.search);
      query.delete("state"); // of a figure that the reader has left
      for (const key of KEYS) after[key] ? query.set(key, after[key]) : query.delete(key);
      history[instead ? "replaceState" : "pushState"](null, "", [location.pathname, query].filter(String).join("?"));
      window.dispatchEvent(new Event("moved"));
    }
    title();
  };

  const press = (strip, id) => {
    const tab = tabOf(strip, id);
    showing = true;
    if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
    showing = false;
    return Boolean(tab);
  };
  const show = async () => {
    const { tab, room, lab, attempt } = place(), inRoom = room || FIRST.room;
    press("tabs", tab || FIRST.tab);
    for (let tries = 0; tab === "labs" && !press("rooms", inRoom) && tries < 100; tries++) await new Promise((later) => setTimeout(later, 50));
    if (tab === "labs" && inRoom === FIRST.room && (lab !== onDesk.lab || attempt !== onDesk.attempt)) {
      onDesk = place();
      window.address.unvisited = true; // the desk may still have to be laid out
      window.dispatchEvent(new Event("visit"));
    }
    title();
    window.dispatchEvent(new Event("moved"));
  };

  const title = () => {
    const { tab, room } = place(), words = [SITE];
    if (tab && tab !== FIRST.tab) {
      const opened = tab === "labs" && room && room !== FIRST.room ? tabOf("rooms", room) : tabOf("tabs", tab);
      const lab = tab === "labs" && (!room || room === FIRST.room) && document.querySelector("#spec h1");
      words.unshift((lab || opened)?.textContent.trim());
    }
    const said = words.filter(Boolean).join(" · ");
    if (document.title !== said) document.title = said;
  };

  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.("[role=tab]"), strip = tab?.closest("#rooms, #tabs")?.id;
    if (strip && !showing) {
      const id = tab.dataset.tabId;
      if (strip === "tabs") follow({ tab: id, ...(id === "labs" ? inLabs : {}) });
      else follow({ tab: "labs", room: id === FIRST.room ? "" : id });
      return;
    }
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const to = new URL(link.href), asked = Object.fromEntries(to.searchParams);
    if (to.origin !== location.origin || to.pathname !== location.pathname || !tabOf("tabs", asked.tab)) return;
    event.preventDefault(); // Gradio's Markdown would open our own links in another window
    if (Object.keys(asked).some((key) => !KEYS.includes(key))) return location.assign(to); // a figure reads its state as it is made
    follow({ ...NOWHERE, ...asked });
    show();
    window.scrollTo(0, 0);
  });
  window.addEventListener("popstate", show);
  window.address = {
    place,
    unvisited: false,
    // The desk shows another lab or attempt, by a press of the reader's.
    follow: (changes) => {
      follow({ tab: "labs", room: "", ...changes });
      onDesk = place();
    },
    // The hunt shows this task, by a press of the reader's; `instead`: by its own choice, so that Back does not come here again.
    followTask: (task, instead) => follow({ tab: "labs", room: "hunt", task }, { instead }),
  };

  let waiting = null;
  new MutationObserver(() => {
    waiting ??= setTimeout(() => {
      waiting = null;
      title();
    }, 200);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();

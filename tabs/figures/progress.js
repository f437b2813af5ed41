// What the reader has answered, kept in this browser; a signed-in account has it, too (tabs/chapter/progress.py).
const Progress = (() => {
  const KEY = "attention-labs.progress";
  const read = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY));
      return kept && typeof kept.quiz === "object" && kept.quiz !== null ? kept : { quiz: {} };
    } catch {
      return { quiz: {} };
    }
  };
  // A question once answered right stays so.
  const record = (id, right) => {
    const kept = read(), before = kept.quiz[id] || { right: false, tries: 0 };
    kept.quiz[id] = { right: before.right || right, tries: before.tries + 1 };
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // A full or forbidden store: the answer still shows, it is only not remembered.
    }
    window.dispatchEvent(new CustomEvent("figures:progress"));
  };
  // From the account: {owner, quiz} in place of what was kept. Silent, since who asked for it draws.
  const adopt = (kept) => {
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // as above
    }
  };
  // Where the reader was last, as the address has it; kept in this browser alone.
  const PLACE = "attention-labs.place";
  const place = () => {
    try {
      const kept = localStorage.getItem(PLACE) || "";
      return kept.startsWith("?") ? kept : "";
    } catch {
      return "";
    }
  };
  const remember = () => {
    const tab = new URLSearchParams(location.search).get("tab");
    if (!tab || tab === "start" || location.search === place()) return;
    try {
      localStorage.setItem(PLACE, location.search);
    } catch {
      return; // not remembered
    }
    window.dispatchEvent(new CustomEvent("figures:place"));
  };
  remember();
  for (const event of ["pagehide", "popstate"]) window.addEventListener(event, remember);
  document.addEventListener("click", () => setTimeout(remember, 100), true); // once the address has followed
  return { read, record, adopt, place, KEY };
})();

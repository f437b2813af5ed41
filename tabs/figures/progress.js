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
  return { read, record, adopt, KEY };
})();

// What the Labs tab does in the browser. Each part below a line `// name` is one function, taken by that name in labs.py.
// Drafts never travel: one key of localStorage per lab, so that two windows on two labs do not overwrite each other.

// recall the token
() => {
  try { return localStorage.getItem("attention-labs-token") ?? ""; } catch { return ""; }
}

// keep the token
(token) => {
  try { localStorage.setItem("attention-labs-token", token); } catch { /* this browser keeps nothing: a new one at every load */ }
}

// save the draft
(lab, code) => {
  try { localStorage.setItem(`attention-labs-draft:${lab}`, code); } catch { /* full or forbidden: the editor still holds it */ }
}

// restore the draft
(lab, code) => {
  try { return localStorage.getItem(`attention-labs-draft:${lab}`) ?? code; } catch { return code; }
}

// forget the draft
(lab) => {
  try { localStorage.removeItem(`attention-labs-draft:${lab}`); } catch { /* nothing was kept */ }
  return lab;
}

// cut what is far too long
(token, lab, code, length, prediction) => {
  const text = code ?? "";
  return [token, lab, text.length > 200000 ? text.slice(0, 1) : text, text.length, prediction];
}

// watch the connection
let heard = Date.now();
new MutationObserver(() => { heard = Date.now(); }).observe(element, { childList: true, subtree: true, characterData: true });
setInterval(() => {
  const waiting = element.querySelector("[data-live]") !== null;
  element.classList.toggle("connection-lost", waiting && Date.now() - heard > 4000);
}, 1000);

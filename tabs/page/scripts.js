// What the Labs tab does in the browser. Each part below a line `// name` is one function, taken by that name in labs.py.
// Drafts never travel: keys of localStorage per lab, so that two windows on two labs do not overwrite each other.

// recall the token
() => {
  try { return localStorage.getItem("attention-labs-token") ?? ""; } catch { return ""; }
}

// recall the token and the place
() => {
  let token = "";
  try { token = localStorage.getItem("attention-labs-token") ?? ""; } catch { /* this browser keeps nothing */ }
  const { lab, attempt } = window.address.place();
  let last = "";
  try { last = localStorage.getItem("attention-labs-last") ?? ""; } catch { /* the first one, then */ }
  return [token, lab || last, attempt];
}

// keep the token
(token) => {
  try { localStorage.setItem("attention-labs-token", token); } catch { /* this browser keeps nothing: a new one at every load */ }
}

// save the draft
(lab, code) => {
  try { localStorage.setItem(`attention-labs-draft:${lab}`, code); } catch { /* full or forbidden: the editor still holds it */ }
}

// save the prediction
(lab, prediction) => {
  try { localStorage.setItem(`attention-labs-prediction:${lab}`, prediction); } catch { /* full or forbidden: the field still holds it */ }
}

// restore the draft
(lab, code, prediction) => {
  const kept = (kind) => { try { return localStorage.getItem(`attention-labs-${kind}:${lab}`); } catch { return null; } };
  try { localStorage.setItem("attention-labs-last", lab); } catch { /* then the page opens on the first one */ }
  document.getElementById("tabs")?.classList.toggle("text-was-replaced", kept("replaced") !== null);
  const unless = (shown, text) => (text === null || text === shown ? { __type__: "update" } : text); // a text set again loses what is typed meanwhile
  return [unless(code, kept("draft")), unless(prediction, kept("prediction"))];
}

// back to the starter
(lab, code, starter) => {
  if (code === starter || !window.confirm("Replace what stands in the editor by the starter? It can be brought back.")) return code;
  try {
    localStorage.setItem(`attention-labs-replaced:${lab}`, code);
    localStorage.setItem(`attention-labs-draft:${lab}`, starter);
    document.getElementById("tabs")?.classList.add("text-was-replaced");
  } catch { /* nothing is kept; Ctrl-Z in the editor brings the text back */ }
  return starter;
}

// bring the text back
(lab, code) => {
  try {
    const replaced = localStorage.getItem(`attention-labs-replaced:${lab}`);
    localStorage.setItem(`attention-labs-replaced:${lab}`, code); // pressed again, the two change places again
    localStorage.setItem(`attention-labs-draft:${lab}`, replaced ?? code);
    return replaced ?? code;
  } catch { return code; }
}

// follow the lab
(lab, ...rest) => {
  window.address.follow({ lab, attempt: "" });
  return [lab, ...rest];
}

// follow the attempt
(attempt, ...rest) => {
  window.address.follow({ lab: document.querySelector("#state [data-lab]")?.dataset.lab ?? window.address.place().lab, attempt: attempt ?? "" });
  return [attempt, ...rest];
}

// follow what was handed in
() => {
  const shown = document.querySelector("#state [data-attempt]")?.dataset;
  if (shown?.attempt) window.address.follow({ lab: shown.lab, attempt: shown.attempt });
}

// visit
const go = () => {
  if (!window.address.unvisited) return;
  window.address.unvisited = false;
  trigger("visit");
};
window.addEventListener("visit", go);
go();

// cut what is far too long
(token, lab, code, length, ...rest) => {
  const text = code ?? "";
  return [token, lab, text.length > 200000 ? text.slice(0, 1) : text, text.length, ...rest];
}

// watch the connection
let heard = Date.now();
new MutationObserver(() => { heard = Date.now(); }).observe(element, { childList: true, subtree: true, characterData: true });
setInterval(() => {
  const waiting = element.querySelector("[data-live]") !== null;
  element.classList.toggle("connection-lost", waiting && Date.now() - heard > 4000);
}, 1000);

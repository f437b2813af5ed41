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
  window.address.token = token;
  try { localStorage.setItem("attention-labs-token", token); } catch { /* this browser keeps nothing: a new one at every load */ }
}

// sign out
element.addEventListener("click", ({ target }) => {
  if (!target.closest("[data-sign-out]")) return;
  try { localStorage.removeItem("attention-labs-token"); } catch { /* then nothing was kept */ }
  location.reload();
});

// save the draft
(lab, code) => {
  try { localStorage.setItem(`attention-labs-draft:${lab}`, code); } catch { /* full or forbidden: the editor still holds it */ }
}

// restore the draft
(lab, code, prediction) => {
  const kept = (kind) => { try { return localStorage.getItem(`attention-labs-${kind}:${lab}`); } catch { return null; } };
  window.labOnDesk = lab;
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
document.addEventListener("input", ({ target }) => { // Gradio tells of a text at a key that is pressed, not when one is pasted, or written on a phone
  if (!target.closest?.("#prediction")) return;
  try { localStorage.setItem(`attention-labs-prediction:${window.labOnDesk}`, target.value); } catch { /* full or forbidden: the field still holds it */ }
});

// visit the hunt
const follow = () => {
  const { tab, room, task } = window.address.place(), shown = document.querySelector("#hunt-code [data-task]")?.dataset.task;
  if (tab !== "labs" || room !== "hunt") return;
  if (!shown || (task && task !== shown)) trigger("visit");
  else if (!task) window.address.followTask(shown, true);
};
window.addEventListener("moved", follow);
setTimeout(follow, 0);

// recall the hunt
(token, kept, task, ...rest) => {
  window.huntVisits = (window.huntVisits ?? 0) + 1;
  const recall = (key) => { try { return localStorage.getItem(key) ?? ""; } catch { return ""; } };
  return [recall("attention-labs-token") || token, recall("attention-labs-hunt") || kept, window.address.place().task, ...rest];
}

// recall the replies
(token, kept, ...rest) => {
  const recall = (key) => { try { return localStorage.getItem(key) ?? ""; } catch { return ""; } };
  return [recall("attention-labs-token") || token, recall("attention-labs-hunt") || kept, ...rest];
}

// recall the replies and the line
(token, kept, task, line, ...rest) => {
  const recall = (key) => { try { return localStorage.getItem(key) ?? ""; } catch { return ""; } };
  const chosen = document.querySelector("#hunt-code input:checked")?.value ?? "";
  return [recall("attention-labs-token") || token, recall("attention-labs-hunt") || kept, task, chosen, ...rest];
}

// keep the replies
(kept) => {
  try {
    const told = JSON.parse(kept), before = JSON.parse(localStorage.getItem("attention-labs-hunt") ?? "null");
    if (before && Array.isArray(before.replies) && ["", told.owner].includes(before.owner)) { // another window may have replied meanwhile
      const known = new Set(told.replies.map(String));
      told.replies.push(...before.replies.filter((reply) => !known.has(String(reply))));
    }
    localStorage.setItem("attention-labs-hunt", JSON.stringify(told));
  } catch { /* this browser keeps nothing: the page still holds it */ }
}

// follow the task
(task) => window.address.followTask(task, false)

// settle on the task
(task) => { // unless the reader has gone on meanwhile: what is visited next has the address
  window.huntVisits = Math.max(0, (window.huntVisits ?? 0) - 1);
  if (window.huntVisits === 0) window.address.followTask(task, true);
}

// keep the chosen line
element.addEventListener("change", ({ target }) => {
  const key = `attention-labs-hunt:${element.querySelector("[data-task]")?.dataset.task}`;
  try {
    localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key) ?? "{}"), line: target.value, at: Date.now() }));
  } catch { /* the page still holds it */ }
});

// keep the draft of a mend
(task, kind, source, attempt) => {
  const key = `attention-labs-hunt:${task}`;
  try {
    localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key) ?? "{}"), kind, source, attempt, at: Date.now() }));
  } catch { /* full or forbidden: the page still holds it */ }
}

// restore the draft of a mend
(task, kind, source, attempt) => {
  const key = `attention-labs-hunt:${task}`, nothing = { __type__: "update" };
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "{}");
    if (!(Date.now() - kept.at < 20 * 3600e3)) { // of an earlier round: the task is asked anew
      localStorage.removeItem(key);
      return [kind, nothing, attempt];
    }
    const line = document.querySelector(`#hunt-code input[value="${Number(kept.line)}"]`);
    if (line && !document.querySelector("#hunt-code input:checked")) line.checked = true;
    return [kept.kind ?? kind, kept.source && kept.source !== source ? kept.source : nothing, kept.attempt ?? ""];
  } catch { return [kind, nothing, attempt]; }
}

// cut what is far too long
(token, lab, code, length, ...rest) => {
  const text = code ?? "", far = text.length > 200000; // a browser counts an emoji twice, so a length is told of what is cut alone
  return [token, lab, far ? text.slice(0, 1) : text, far ? text.length : 0, ...rest];
}

// take a file away
/* From our own addresses, with the token that was typed or else this browser's; one press, and nothing is left on the server. */
async (path, name, typed) => {
  const told = (sentence, tone) => Object.assign(document.createElement("p"), { className: `note ${tone}`, role: "status", textContent: sentence }).outerHTML;
  let token = typed;
  try { token ||= localStorage.getItem("attention-labs-token"); } catch { /* this browser keeps nothing */ }
  try {
    const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store" });
    if (!answer.ok) return told((await answer.json()).error, "wrong");
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    return told(`${name} is among your downloads.`, "muted");
  } catch { return told("The server does not answer; try again in a moment.", "wrong"); }
}

// watch
/* What is in work is asked of /api/v1, not of Gradio's queue; a page that nobody sees asks seldom, and holds no connection. */
const WAIT_S = 4, OFF_MS = 2000, HIDDEN_MS = 5000, AGAIN_MS = 1000, LOST_MS = 4000;
const token = () => { try { return localStorage.getItem("attention-labs-token") || window.address.token; } catch { return window.address.token; } };
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const seen = () => new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
const room = element.closest("#exhibit-state") ? "museum" : element.closest("#hunt-state") ? "hunt" : "";
let watched = "", turn = 0, failing = 0, ahead = 0; // ahead: of the server's clock to ours, in ms

const ask = async (path, etag) => {
  const answer = await fetch(path, {
    headers: { Authorization: `Bearer ${token()}`, ...(etag && { "If-None-Match": etag }) },
    cache: "no-store",
    signal: AbortSignal.timeout(2000 * WAIT_S),
  });
  if (answer.status >= 500 || answer.status === 429) throw new Error(`status ${answer.status}`);
  ahead = Date.parse(answer.headers.get("Date")) - Date.now() || ahead;
  return answer;
};

/* Until something else is to be watched. `off`: why grading is off, where that is what is watched. */
const follow = async (attempt, off) => {
  const mine = ++turn;
  let etag = "";
  while (turn === mine) {
    const asked = Date.now();
    let pause = 0;
    try {
      const wait = document.hidden ? 0 : WAIT_S;
      const answer = await ask(off === undefined ? `api/v1/attempts/${attempt}/words?wait=${wait}${room && `&room=${room}`}` : "api/v1/grading", etag);
      if (turn !== mine) return;
      failing = 0;
      if (off !== undefined) {
        const { grading, reason } = await answer.json(), shown = element.querySelector("[data-off]");
        if (grading === "on") trigger("ended");
        else if (shown && reason !== off) { shown.dataset.off = reason; shown.querySelectorAll("p")[1].textContent = reason; }
        pause = OFF_MS;
      } else if (answer.status !== 304) {
        const words = answer.ok ? await answer.text() : "";
        etag = answer.headers.get("ETag") ?? "";
        const shown = element.querySelector(".state");
        if (words && shown && turn === mine) shown.outerHTML = words;
        if (!words) { trigger("ended"); pause = HIDDEN_MS; } // and once more, should that not be answered
      }
    } catch {
      failing ||= asked;
      pause = AGAIN_MS;
    }
    paint();
    if (document.hidden) await Promise.race([later(HIDDEN_MS), seen()]);
    else if (pause) await later(pause);
  }
};

const paint = () => {
  for (const clock of element.querySelectorAll("[data-since]")) {
    const said = `${Math.max(0, Math.round((Date.now() + ahead) / 1000 - clock.dataset.since))} s`;
    if (clock.textContent !== said) clock.textContent = said;
  }
  element.classList.toggle("connection-lost", watched !== "" && failing > 0 && Date.now() - failing > LOST_MS);
};

const look = () => {
  const frame = element.querySelector("[data-attempt]"), off = element.querySelector("[data-off]")?.dataset.off;
  const attempt = element.querySelector("[data-live]") ? frame?.dataset.attempt ?? "" : "";
  const now = off !== undefined ? `off ${off}` : attempt;
  if (now !== watched) {
    watched = now;
    failing = 0;
    turn++;
    if (now) follow(attempt, off);
  }
  paint();
};
new MutationObserver(look).observe(element, { childList: true, subtree: true });
setInterval(paint, 1000);
look();

// The page: which view an address shows.

import { forgetToken, hasToken } from "./api.js";
import { CompareView } from "./compare.js";
import { el } from "./dom.js";
import { HealthView } from "./health.js";
import { SessionView } from "./session.js";
import { SessionsView } from "./sessions.js";

const main = document.getElementById("main");
const access = document.getElementById("access");
const chosen = new Set();
let current = null;

function route() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean);
  const parameters = new URLSearchParams(query);
  if (parts.length === 0) return ["sessions", (options) => new SessionsView(main, options)];
  if (parts[0] === "s" && parts[1]) {
    const id = decodeURIComponent(parts[1]);
    return ["sessions", (options) => new SessionView(main, { ...options, id })];
  }
  if (parts[0] === "compare") {
    const ids = parameters.getAll("s");
    return ["compare", (options) => new CompareView(main, { ...options, ids })];
  }
  if (parts[0] === "health") return ["health", (options) => new HealthView(main, options)];
  return ["", () => main.replaceChildren(el("div.empty",
    el("h1", "There is no such page"), el("p", el("a", { href: "#/" }, "To the sessions"))))];
}

function show() {
  current?.abort();
  current = new AbortController();
  const [page, make] = route();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${page === "sessions" ? "Sessions" : page || "lbfgsd"} · lbfgsd`;
  scrollTo(0, 0);
  make({ signal: current.signal, chosen });
}

function showAccess() {
  access.hidden = !hasToken();
}

access.addEventListener("click", () => {
  forgetToken();
  show();
});
addEventListener("token", showAccess);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
showAccess();
show();

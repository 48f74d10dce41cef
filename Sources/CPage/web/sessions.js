// The list of sessions: searched and sorted by the server, loaded page by page, and drawn by the
// rows in view alone.

import { get, sessionPath } from "./api.js";
import { decimate, Trace } from "./trace.js";
import { button, el, picker, setText, svg } from "./dom.js";
import { age, number, numeric, plural, states, whole } from "./format.js";

const loadedMax = 10000;
const rowHeights = { wide: 60, narrow: 92 };
const orders = [
  ["updated", "Latest activity"], ["best_loss", "Best loss"], ["created", "Newest"],
  ["name", "Name"],
];

export function title(session) {
  return session.name || session.id;
}

export function compareAddress(ids) {
  return `#/compare?${[...ids].map((id) => `s=${id}`).join("&")}`;
}

export function bestLoss(session) {
  return numeric(session.best?.loss ?? session.loss);
}

export function pill(state) {
  return el(`span.pill.${state}`, states[state] ?? state);
}

export function labelChips(labels, most = 100) {
  const isShown = ([name]) => name !== "ensemble" && name !== "member";
  return Object.entries(labels ?? {}).filter(isShown).slice(0, most).map(([name, value]) =>
    el("span.chip", { title: `${name}: ${value}` }, `${name}: ${value}`));
}

/** Times are texts of one form, which compare like the times themselves. */
const newest = (key) => (a, b) => (a[key] < b[key]) - (a[key] > b[key]);

const comparisons = {
  updated: newest("updated_at"),
  created: newest("created_at"),
  best_loss: (a, b) => (bestLoss(a) ?? Infinity) - (bestLoss(b) ?? Infinity) || 0,
  name: (a, b) => title(a).localeCompare(title(b)),
};

function ensembleOf(session) {
  return session.ensemble ?? session.labels?.ensemble ?? null;
}

/** Sparklines of the rows in view: four requests at a time, again when a session has moved on. */
class Sparklines {
  constructor(signal) {
    this.signal = signal;
    this.known = new Map();
    this.queue = [];
    this.running = 0;
  }

  show(node, session) {
    const known = this.known.get(session.id);
    if (known) this.#draw(node, known.trace);
    else node.replaceChildren();
    const isStale = !known || known.evaluation < session.evaluation;
    if (!isStale || (known && performance.now() - known.at < 4000)
      || session.evaluation === 0) return;
    if (this.queue.some((item) => item.session.id === session.id)) return;
    this.queue.push({ node, session });
    while (this.queue.length > 60) this.queue.shift();
    this.#next();
  }

  async #next() {
    if (this.running >= 4 || this.signal.aborted) return;
    const item = this.queue.pop();
    if (!item) return;
    this.running += 1;
    const { session, node } = item;
    try {
      if (node.dataset.session === session.id) {
        const trace = await this.#load(session);
        this.known.set(session.id, { trace, evaluation: session.evaluation,
          at: performance.now() });
        if (node.dataset.session === session.id) this.#draw(node, trace);
      }
    } catch {
      // A session that was deleted meanwhile has no line.
    }
    this.running -= 1;
    this.#next();
  }

  async #load(session) {
    const trace = new Trace(64);
    const document = await get(sessionPath(session.id, "/trace"), {
      query: { points: 80 }, signal: this.signal,
    });
    for (const point of document.trace) trace.append(point);
    return trace;
  }

  /** Losses that are all positive and span three decades are drawn by their logarithm. */
  #draw(node, trace) {
    const indices = decimate(trace.loss, 0, trace.count, 60);
    if (indices.length < 2) return node.replaceChildren();
    let values = indices.map((index) => trace.loss[index]);
    if (Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 1000)
      values = values.map(Math.log);
    const least = Math.min(...values);
    const span = Math.max(...values) - least || 1;
    const path = values.map((value, index) =>
      `${index === 0 ? "M" : "L"}${((index / (values.length - 1)) * 116 + 2).toFixed(1)} `
      + `${(26 - ((value - least) / span) * 24).toFixed(1)}`).join("");
    node.replaceChildren(svg("svg", { viewBox: "0 0 120 28", "aria-hidden": "true" },
      svg("path", { d: path })));
  }
}

export class SessionsView {
  constructor(root, { signal, chosen }) {
    this.root = root;
    this.signal = signal;
    this.chosen = chosen;
    this.filters = { q: "", state: "", mode: "" };
    this.order = "updated";
    this.isGrouped = true;
    this.open = new Set();
    this.sparklines = new Sparklines(signal);
    this.pool = [];
    this.#build();
    this.restart();
    addEventListener("scroll", () => this.render(), { signal, passive: true });
    addEventListener("resize", () => this.render(), { signal });
    this.timer = setInterval(() => this.#poll(), 2500);
    signal.addEventListener("abort", () => {
      clearInterval(this.timer);
      this.loading.abort();
    });
  }

  #build() {
    let typing = null;
    const change = (name) => (value) => {
      this.filters[name] = value;
      this.restart();
    };
    this.search = el("input", {
      type: "search", placeholder: "Name, identifier or label, as team:flow",
      "aria-label": "Search sessions", spellcheck: "false",
      oninput: () => {
        clearTimeout(typing);
        typing = setTimeout(() => change("q")(this.search.value.trim()), 250);
      },
    });
    this.status = el("p.status", { role: "status" });
    this.compareLink = el("a.button", { href: "#/compare" }, "Compare");
    this.rows = el("div.rows", { role: "rowgroup" });
    const heads = [["check", el("span.hidden", "Compare")], ["name", "Session"],
      ["state", "State"], ["loss", "Loss"], ["best", "Best"], ["trend", "Trend"],
      ["evaluations", "Evaluations"], ["activity", "Activity"]];
    this.table = el("div.list", { role: "table", "aria-label": "Sessions" },
      el("div", { role: "rowgroup" }, el("div.row.head", { role: "row" }, heads.map(
        ([name, head]) => el(`span.cell-${name}`, { role: "columnheader" }, head)))), this.rows);
    this.empty = el("div.empty", { hidden: true });
    const grouped = el("input", {
      type: "checkbox", checked: true, onchange: () => {
        this.isGrouped = grouped.checked;
        this.arrange();
      },
    });
    this.root.replaceChildren(
      el("div.title-row", el("h1", "Sessions"), this.compareLink),
      el("div.toolbar", this.search,
        picker("State", [["", "Any state"], ...Object.entries(states)], "", change("state")),
        picker("Mode", [["", "Any mode"], ["torch", "torch"], ["robust", "robust"]], "",
          change("mode")),
        picker("Sort by", orders, this.order, (order) => {
          this.order = order;
          this.restart();
        }),
        el("label.check", grouped, "Group forks and ensembles")),
      this.status, this.table, this.empty);
    this.#showChosen();
  }

  #showChosen() {
    const ids = [...this.chosen];
    this.compareLink.hidden = ids.length === 0;
    this.compareLink.href = compareAddress(ids);
    setText(this.compareLink, `Compare ${plural(ids.length, "session")}`);
  }

  /** Loads the list anew: another search or order. */
  async restart() {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    this.sessions = new Map();
    this.token = "";
    this.damaged = 0;
    this.entries = [];
    this.isBusy = false;
    setText(this.status, "Loading.");
    try {
      await this.#loadPage();
      while (this.token && this.sessions.size < loadedMax && loading === this.loading)
        await this.#loadPage();
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(error);
    }
  }

  #fail(error) {
    setText(this.status, "");
    this.empty.hidden = false;
    this.empty.replaceChildren(el("h2", "The list can't be read"), el("p", error.message),
      button("Try again", () => this.restart()));
  }

  async #fetch(query) {
    const { signal } = this.loading;
    const { q, state, mode } = this.filters;
    return get("v1/sessions", {
      query: { q, state, mode, order_by: this.order, ...query }, signal,
    });
  }

  async #loadPage() {
    if (this.isBusy) return;
    this.isBusy = true;
    const loading = this.loading;
    try {
      const size = this.sessions.size === 0 ? 200 : 1000;
      const page = await this.#fetch({ page_size: size, page_token: this.token || null });
      if (loading !== this.loading) return;
      for (const session of page.sessions) this.sessions.set(session.id, session);
      this.damaged += page.damaged?.count ?? 0;
      this.token = page.next_page_token;
      this.arrange();
    } finally {
      if (loading === this.loading) this.isBusy = false;
    }
  }

  /** What changed since: the sessions with the latest activity. */
  async #poll() {
    if (document.hidden || this.isBusy || this.isPolling || !this.rows.isConnected) return;
    this.isPolling = true;
    const loading = this.loading;
    try {
      const page = await this.#fetch({ order_by: "updated", page_size: 100 });
      if (loading !== this.loading) return;
      const isAll = page.next_page_token === null && page.sessions.length < this.sessions.size;
      if (isAll) this.sessions.clear();
      const changed = page.sessions.filter(
        (session) => this.sessions.get(session.id)?.updated_at !== session.updated_at);
      for (const session of changed) this.sessions.set(session.id, session);
      // Rows stay in their places while somebody points at one, or reads further down.
      const isRead = scrollY > 200 || this.rows.matches(":hover, :focus-within");
      if (isAll || (changed.length > 0 && !isRead)) this.arrange();
      else this.render();
    } catch {
      // The next one may succeed; what is shown stays.
    } finally {
      this.isPolling = false;
    }
  }

  /** Sorts and groups what is loaded. */
  arrange() {
    const sessions = [...this.sessions.values()];
    sessions.sort(comparisons[this.order]);
    this.entries = this.isGrouped ? this.#group(sessions) : sessions.map((session) => ({ session,
      depth: 0 }));
    const more = this.token ? " loaded; more follow as you scroll" : "";
    const damaged = this.damaged > 0 ? ` ${plural(this.damaged, "damaged session")} left out.` : "";
    setText(this.status, `${plural(sessions.length, "session")}${more}.${damaged}`);
    const isFiltered = Object.values(this.filters).some(Boolean);
    this.empty.hidden = sessions.length > 0;
    this.table.hidden = sessions.length === 0;
    if (sessions.length === 0) this.empty.replaceChildren(...this.#emptyText(isFiltered));
    this.render();
  }

  #emptyText(isFiltered) {
    if (isFiltered) return [el("h2", "Nothing found"), el("p", "No session matches this search.")];
    return [el("h2", "No sessions yet"),
      el("p", "A session appears here as soon as a client creates it, for instance in Python:"),
      el("pre", "import lbfgsd\n"
        + `lbfgsd.minimize(fun, x0, jac=True, url=${JSON.stringify(location.origin)})`)];
  }

  /** Forks below what they were forked from, and members below their ensemble. */
  #group(sessions) {
    const children = new Map();
    const roots = [];
    const seen = new Set();
    for (const session of sessions) {
      const ensemble = ensembleOf(session);
      let parent = session.origin?.session;
      if (parent && !this.sessions.has(parent)) parent = null;
      const key = parent ?? (ensemble ? `e:${ensemble}` : null);
      if (!key) continue;
      if (!children.has(key)) children.set(key, []);
      children.get(key).push(session);
    }
    const parentOf = (session) => {
      const parent = session.origin?.session;
      return parent && this.sessions.has(parent) ? this.sessions.get(parent) : null;
    };
    const add = (session, depth) => {
      if (seen.has(session.id)) return;
      seen.add(session.id);
      roots.push({ session, depth: Math.min(depth, 4) });
      for (const child of children.get(session.id) ?? []) add(child, depth + 1);
    };
    for (const session of sessions) {
      let root = session;
      for (let hops = 0; parentOf(root) && hops < 50; hops += 1) root = parentOf(root);
      const ensemble = ensembleOf(root);
      if (!ensemble) {
        add(root, 0);
        continue;
      }
      if (seen.has(`e:${ensemble}`)) continue;
      seen.add(`e:${ensemble}`);
      const members = children.get(`e:${ensemble}`) ?? [root];
      roots.push({ ensemble, members, depth: 0 });
      if (this.open.has(ensemble)) for (const member of members) add(member, 1);
    }
    return roots;
  }

  /** Draws the rows in view, with what is already in the document. */
  render() {
    if (!this.rows.isConnected) return;
    const isNarrow = innerWidth < 720;
    const height = rowHeights[isNarrow ? "narrow" : "wide"];
    this.rows.style.height = `${this.entries.length * height}px`;
    const top = this.rows.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - 5);
    const last = Math.min(this.entries.length, Math.ceil((innerHeight - top) / height) + 5);
    const free = this.pool.filter(({ index }) => index < first || index >= last);
    const placed = new Map(this.pool.map((row) => [row.index, row]));
    let before = null;
    for (let index = first; index < last; index += 1) {
      let row = placed.get(index);
      if (!row) {
        row = free.pop() ?? this.#makeRow();
        if (row.node.contains(document.activeElement)) document.activeElement.blur();
        row.index = index;
        row.node.hidden = false;
        // In the document rows stand as they are seen, since Tab goes from one to the next there.
        this.rows.insertBefore(row.node, before ? before.nextSibling : this.rows.firstChild);
      }
      this.#fill(row, this.entries[index], index, height);
      before = row.node;
    }
    for (const row of free) {
      row.index = -1;
      row.node.hidden = true;
    }
    this.table.setAttribute("aria-rowcount", String(this.entries.length + 1));
    if (last > this.entries.length - 200 && this.token && this.sessions.size >= loadedMax)
      this.#loadPage().catch(() => {});
  }

  #makeRow() {
    const cells = {
      check: el("input", { type: "checkbox" }),
      link: el("a", { href: "#/" }), chips: el("span.chips"),
      state: el("span"), loss: el("span"), best: el("span"), trend: el("span.trend"),
      evaluations: el("span"), activity: el("span"),
    };
    cells.check.addEventListener("change", () => {
      const { id } = cells.check.dataset;
      if (cells.check.checked) this.chosen.add(id);
      else this.chosen.delete(id);
      this.#showChosen();
    });
    cells.toggle = button("", () => {
      const id = cells.toggle.dataset.ensemble;
      if (!this.open.delete(id)) this.open.add(id);
      this.arrange();
    }, ".toggle");
    const cell = (name, ...content) => el(`span.cell-${name}`, { role: "cell" }, content);
    const node = el("div.row", { role: "row" },
      cell("check", cells.check), cell("name", cells.toggle, cells.link, cells.chips),
      cell("state", cells.state), cell("loss", cells.loss), cell("best", cells.best),
      cell("trend", cells.trend), cell("evaluations", cells.evaluations),
      cell("activity", cells.activity));
    const row = { node, cells, key: "", index: -1 };
    this.pool.push(row);
    return row;
  }

  #fill(row, entry, index, height) {
    const { node, cells } = row;
    node.style.transform = `translateY(${index * height}px)`;
    node.setAttribute("aria-rowindex", String(index + 2));
    const { ensemble } = entry;
    const session = entry.session && (this.sessions.get(entry.session.id) ?? entry.session);
    if (session) setText(cells.activity, age(session.updated_at));
    const key = session
      ? `${session.id} ${session.updated_at} ${entry.depth} ${this.chosen.has(session.id)}`
      : `${ensemble} ${this.open.has(ensemble)} ${entry.members.map((one) => one.updated_at)}`;
    if (session) {
      cells.trend.dataset.session = session.id;
      if (row.key !== key || !cells.trend.firstChild) this.sparklines.show(cells.trend, session);
    }
    if (row.key === key) return;
    row.key = key;
    node.style.setProperty("--depth", entry.depth);
    node.classList.toggle("group", !session);
    cells.toggle.hidden = Boolean(session);
    cells.link.hidden = !session;
    cells.check.hidden = !session;
    if (session) this.#fillSession(cells, session);
    else this.#fillEnsemble(cells, entry);
  }

  #fillSession(cells, session) {
    cells.check.dataset.id = session.id;
    cells.check.checked = this.chosen.has(session.id);
    cells.check.setAttribute("aria-label", `Compare ${title(session)}`);
    cells.link.href = `#/s/${session.id}`;
    setText(cells.link, title(session));
    const fork = session.origin ? [el("span.chip.fork", "fork")] : [];
    const member = ensembleOf(session) && session.labels?.member !== undefined
      ? [el("span.chip", `start ${session.labels.member}`)] : [];
    cells.chips.replaceChildren(...fork, ...member, ...labelChips(session.labels, 3));
    cells.state.replaceChildren(pill(session.state));
    setText(cells.loss, number(session.loss));
    setText(cells.best, number(bestLoss(session)));
    setText(cells.evaluations, whole(session.evaluation));
  }

  #fillEnsemble(cells, { ensemble, members }) {
    const isOpen = this.open.has(ensemble);
    const name = (members[0].name ?? ensemble).replace(/ \d+$/, "");
    cells.toggle.dataset.ensemble = ensemble;
    cells.toggle.setAttribute("aria-expanded", String(isOpen));
    setText(cells.toggle, name);
    cells.chips.replaceChildren(el("span.chip", `ensemble of ${members.length}`),
      ...labelChips(members[0].labels, 2));
    const waiting = members.filter((member) => member.state !== "idle").length;
    cells.state.replaceChildren(waiting > 0 ? pill("evaluating") : pill("idle"));
    setText(cells.loss, "");
    const losses = members.map(bestLoss).filter((loss) => Number.isFinite(loss));
    setText(cells.best, losses.length > 0 ? number(Math.min(...losses)) : "–");
    cells.trend.dataset.session = "";
    cells.trend.replaceChildren();
    setText(cells.evaluations, whole(members.reduce((sum, member) => sum + member.evaluation, 0)));
    setText(cells.activity, age(members.map((member) => member.updated_at).sort().at(-1)));
  }
}

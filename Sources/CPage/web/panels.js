// Parts of a session's page: its steps, options, checkpoints, lineage and programs.

import { get, post, send, sessionPath } from "./api.js";
import { ask, button, choice, el, notify, setText, table, throttled } from "./dom.js";
import { age, bytes, clock, duration, number, plural, whole } from "./format.js";
import { pill, title } from "./sessions.js";
import { explain, snippets } from "./words.js";

function section(id, heading, ...content) {
  return el("section.card", { "aria-labelledby": id }, el("h2", { id }, heading), content);
}

/** Asks, sends, and says what happened. Resolves to whether it was done. */
export async function confirmed(question, work) {
  const values = await ask(question);
  if (!values) return false;
  try {
    await work(values);
    return true;
  } catch (error) {
    notify(error.message, "error");
    return false;
  }
}

export class StepsPanel {
  constructor(signal) {
    this.signal = signal;
    this.steps = new Map();
    /** So many are kept; the newest ones. */
    this.most = 20;
    this.draw = throttled(() => this.#draw(), 250);
    this.list = el("tbody");
    this.more = button("Older steps", () => this.#older(), "", { hidden: true });
    this.note = el("p.note");
    const heads = ["Step", "Why it ended", "Iterations", "Loss", "Took"];
    this.node = section("steps-title", "Steps", table("Steps", heads, this.list, 2), this.note,
      this.more);
  }

  async show(session) {
    this.id = session.id;
    await this.#load(session.step, Math.max(1, session.step - 4));
  }

  async #load(from, to) {
    for (let number = from; number >= to; number -= 1) {
      if (this.steps.get(number)?.state === "ended") continue;
      try {
        this.add(await get(sessionPath(this.id, `/steps/${number}`), { signal: this.signal }));
      } catch (error) {
        // The oldest steps of a long run are removed.
        this.isAll = error.status === 404;
        break;
      }
    }
    this.draw();
  }

  #older() {
    this.most += 20;
    const oldest = Math.min(...this.steps.keys());
    this.#load(oldest - 1, Math.max(1, oldest - 20));
  }

  add(step) {
    this.steps.set(step.step, step);
    while (this.steps.size > this.most) this.steps.delete(Math.min(...this.steps.keys()));
    this.draw();
  }

  #draw() {
    const numbers = [...this.steps.keys()].sort((a, b) => b - a);
    this.list.replaceChildren(...numbers.map((number) => this.#row(this.steps.get(number))));
    this.more.hidden = this.isAll || numbers.length === 0 || numbers.at(-1) === 1;
    setText(this.note, numbers.length === 0 ? "No step has begun." : "");
  }

  #row(step) {
    const { result } = step;
    const cells = [el("td", whole(step.step))];
    if (result) {
      const { text, advice, kind } = explain(result.reason);
      const active = result.active_bounds > 0
        ? `${plural(result.active_bounds, "number")} at a bound. ` : "";
      cells.push(el("td", el(`span.pill.${kind}`, result.reason.replaceAll("_", " ")),
        el("div", text), el("div.advice", `${active}${advice}`),
        result.failure ? this.#failure(result.failure) : null));
    } else cells.push(el("td", pill("running")));
    const ended = step.ended_at ? Date.parse(step.ended_at) : Date.now();
    const seconds = (ended - Date.parse(step.started_at)) / 1000;
    for (const text of [whole(result?.iterations), number(result?.loss), duration(seconds)])
      cells.push(el("td.right", text));
    return el("tr", cells);
  }

  #failure(failure) {
    return el("div.advice",
      `${plural(failure.trials, "trial")} between t = ${number(failure.step_length_lower)} and `
      + `${number(failure.step_length_upper)}; slope ${number(failure.slope)}, change of the loss `
      + `${number(failure.loss_change)}, noise ${number(failure.loss_noise)}.`);
  }
}

export class OptionsPanel {
  constructor(signal) {
    this.signal = signal;
    this.list = el("dl.pairs");
    this.node = section("options-title", "Options and bounds", this.list);
  }

  async show(session) {
    const pairs = [
      ["Numbers", `${whole(session.n)} (${session.dtype})`],
      ["Parameters", session.params.slice(0, 8).map((one, index) =>
        `${one.name ?? index} [${one.shape.join(", ")}]`).join(", ")
        + (session.params.length > 8 ? `, and ${session.params.length - 8} more` : "")],
      ["Bounds", session.bounded ? "yes" : "none"],
      ...(session.l1 ? [["L1 term", "yes"]] : []),
      ...(session.projected ? [["Moved into bounds", plural(session.projected, "number")]] : []),
      ...(session.shards ? [["Shards", whole(session.shards)]] : []),
      ...Object.entries(session.options).map(([name, value]) =>
        [name, value === null ? "default" : typeof value === "number" ? number(value)
          : String(value)]),
      ["Memory", bytes(session.memory_bytes_estimate)], ["On disk", bytes(session.disk_bytes)],
      ["Created", clock(session.created_at)],
      ["Expires", session.expires_at ? clock(session.expires_at) : "never"],
    ];
    this.list.replaceChildren(...pairs.flatMap(([name, value]) =>
      [el("dt", name), el("dd", { "data-name": name }, value)]));
    if (!session.bounded && !session.l1) return;
    try {
      const { count } = await get(sessionPath(session.id, "/active-set"), {
        query: { limit: 1 }, signal: this.signal,
      });
      const bounds = this.list.querySelector("[data-name=Bounds]");
      const at = `${whole(count)} of ${whole(session.n)} numbers at a bound now`;
      setText(bounds, session.bounded ? at : `none, ${at}`);
    } catch {
      // Before the first point there is no active set.
    }
  }
}

export class CheckpointsPanel {
  constructor(signal, onchange) {
    this.signal = signal;
    this.onchange = onchange;
    this.body = el("div");
    this.node = section("checkpoints-title", "Checkpoints", this.body,
      el("p.note", button("Make a checkpoint", () => this.#create())));
  }

  async show(session) {
    this.session = session;
    const rows = [];
    try {
      for (let token = ""; token !== null;) {
        const page = await get(sessionPath(session.id, "/checkpoints"), {
          query: { page_size: 200, page_token: token }, signal: this.signal,
        });
        rows.push(...page.checkpoints);
        token = page.next_page_token;
      }
    } catch (error) {
      if (error.name !== "AbortError") this.body.replaceChildren(el("p", error.message));
      return;
    }
    // Buttons that somebody is about to press stay.
    const key = JSON.stringify(rows);
    if (key === this.key) return;
    this.key = key;
    if (rows.length === 0) {
      this.body.replaceChildren(el("p.note",
        "None yet. A checkpoint pins the session's whole state, to come back to or to fork."));
      return;
    }
    const heads = ["", "Evaluation", "Loss", "Made", ""];
    this.body.replaceChildren(
      table("Checkpoints", heads, el("tbody", rows.map((row) => this.#row(row)))));
  }

  #row(checkpoint) {
    const name = checkpoint.name ? `${checkpoint.id}: ${checkpoint.name}` : `${checkpoint.id}`;
    const act = (text, work) =>
      button(text, work, "", { "aria-label": `${text} checkpoint ${checkpoint.id}` });
    return el("tr", el("td", name), el("td", whole(checkpoint.evaluation)),
      el("td", number(checkpoint.loss)), el("td", age(checkpoint.created_at)),
      el("td", el("div.actions",
        act("Restore", () => this.#restore(checkpoint)),
        act("Fork", () => this.#fork(checkpoint)))));
  }

  #path(rest) {
    return sessionPath(this.session.id, `/checkpoints${rest}`);
  }

  async #create() {
    const question = {
      title: "Make a checkpoint", action: "Make it",
      fields: [{ name: "name", label: "Name (optional)" }],
    };
    const isDone = await confirmed(question, (values) =>
      post(this.#path(""), values.name ? { name: values.name } : {}));
    if (isDone) this.show(this.session);
  }

  async #restore(checkpoint) {
    const question = {
      title: `Restore checkpoint ${checkpoint.id}?`, action: "Restore", danger: true,
      text: `The session returns to its state at evaluation ${checkpoint.evaluation}. A client `
        + "that works on it now will find its evaluation closed.",
    };
    if (await confirmed(question, () => post(this.#path(`/${checkpoint.id}/restore`)))) {
      notify(`Checkpoint ${checkpoint.id} was restored.`);
      this.onchange();
    }
  }

  async #fork(checkpoint) {
    const question = {
      title: `Fork checkpoint ${checkpoint.id}`, action: "Fork",
      text: "A new session begins with this state. This one is not changed.",
      fields: [{ name: "name", label: "Name of the new session",
        value: `${title(this.session)}, fork` }],
    };
    let fork;
    const isDone = await confirmed(question, async (values) => {
      fork = await post(this.#path(`/${checkpoint.id}/fork`),
        values.name ? { name: values.name } : {});
    });
    if (isDone) location.hash = `#/s/${fork.id}`;
  }
}

const lineageScans = 5;

/** What a session was forked from, and what was forked from it. */
export class LineagePanel {
  constructor(signal) {
    this.signal = signal;
    this.body = el("div");
    this.node = section("lineage-title", "Lineage", this.body);
    this.node.hidden = true;
  }

  async show(session) {
    const ancestors = [];
    for (let origin = session.origin; origin && ancestors.length < 20;) {
      try {
        const parent = await get(sessionPath(origin.session), { signal: this.signal });
        ancestors.unshift({ session: parent, checkpoint: origin.checkpoint });
        origin = parent.origin;
      } catch {
        ancestors.unshift({ session: { id: origin.session, name: null },
          checkpoint: origin.checkpoint, isGone: true });
        break;
      }
    }
    const all = [];
    let token = "";
    try {
      for (let page = 0; page < lineageScans && token !== null; page += 1) {
        const list = await get("v1/sessions", {
          query: { page_size: 1000, page_token: token }, signal: this.signal,
        });
        all.push(...list.sessions.filter((one) => one.origin));
        token = list.next_page_token;
      }
    } catch {
      return;
    }
    const childrenOf = (id, depth) => {
      const children = all.filter((one) => one.origin.session === id);
      if (children.length === 0 || depth > 10) return [];
      return [el("ul.tree", children.map((child) =>
        el("li", this.#link(child, child.origin.checkpoint), childrenOf(child.id, depth + 1))))];
    };
    const descendants = childrenOf(session.id, 0);
    this.node.hidden = ancestors.length === 0 && descendants.length === 0;
    let tree = [el("ul.tree", el("li", el("strong", title(session)), " (this one)", descendants))];
    for (const [index, ancestor] of [...ancestors.entries()].reverse()) {
      const from = ancestors[index - 1]?.checkpoint;
      const item = ancestor.isGone ? el("span", `${ancestor.session.id} (deleted)`)
        : this.#link(ancestor.session, from);
      tree = [el("ul.tree", el("li", item, tree))];
    }
    if (token) tree.push(el("p.note", "Forks are looked for among the newest 5000 sessions."));
    this.body.replaceChildren(...tree);
  }

  #link(session, checkpoint) {
    return el("span", el("a", { href: `#/s/${session.id}` }, title(session)),
      checkpoint ? ` from checkpoint ${checkpoint}` : "", ` · loss ${number(session.loss)}`);
  }
}

export class ProgramsPanel {
  constructor() {
    this.body = el("div");
    this.node = section("programs-title", "Take it up in a program", this.body);
  }

  show(session) {
    const programs = snippets(session, new URL(".", document.baseURI).href.replace(/\/$/, ""));
    const code = el("pre", { tabindex: "0", "aria-label": "Program" });
    const note = el("p.note");
    const choose = (name) => {
      const [, text, hint] = programs.find((program) => program[0] === name);
      setText(code, text);
      setText(note, hint);
    };
    const names = programs.map(([name]) => [name, name]);
    const copy = button("Copy", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        notify("Copied.");
      } catch {
        getSelection().selectAllChildren(code);
        notify("Press Ctrl+C to copy what is selected.");
      }
    }, ".quiet");
    this.body.replaceChildren(
      el("div.title-row", choice("Language", names, "Python", choose), copy), code, note);
    choose("Python");
  }
}

export async function stopStep(session) {
  return confirmed({
    title: "Stop the running step?", action: "Stop", danger: true,
    text: "It ends at the best point seen so far. A client that works on it now will find its "
      + "evaluation closed.",
  }, () => send("POST", sessionPath(session.id, "/stop"), { body: {} }));
}

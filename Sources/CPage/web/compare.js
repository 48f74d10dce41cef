// Sessions over one another: by evaluations or time, with a table beside.

import { follow, get, sessionPath } from "./api.js";
import { axisChoices, Chart, color, seriesColors } from "./chart.js";
import { button, el, notify, setText, table, throttled } from "./dom.js";
import { duration, number, whole } from "./format.js";
import { bestLoss, compareAddress, pill, title } from "./sessions.js";
import { Trace } from "./trace.js";

const sessionsMax = 40;

export class CompareView {
  constructor(root, { ids, signal, chosen }) {
    Object.assign(this, { root, signal, chosen });
    this.ids = [...new Set(ids)].slice(0, sessionsMax);
    this.settings = { x: "evaluation", xLog: false, y: "log" };
    signal.addEventListener("abort", () => {
      this.chart?.close();
      this.gradients?.close();
    });
    this.#start();
  }

  async #start() {
    this.runs = [];
    this.#build();
    if (this.ids.length === 0) return;
    const loaded = await Promise.all(this.ids.map(async (id, index) => {
      try {
        const session = await get(sessionPath(id), { signal: this.signal });
        const trace = await Trace.load(id, { expected: session.evaluation, signal: this.signal });
        return { id, session, trace, color: index % seriesColors };
      } catch (error) {
        return { id, error };
      }
    }));
    if (this.signal.aborted) return;
    this.runs = loaded.filter((run) => run.session);
    for (const id of this.ids) this.chosen.add(id);
    this.failed = loaded.filter((run) => run.error);
    if (this.runs.some((run) => !(run.trace.least > 0))) this.settings.y = "linear";
    this.repaint = throttled(() => this.#show(), 200);
    this.#build();
    this.#show();
    if (this.runs.length > 0) this.#watch();
  }

  /** By one stream for all, whose events have no numbers: what it missed is asked for. */
  #watch() {
    const known = new Map(this.runs.map((run) => [run.id, run]));
    const missed = throttled(() => this.#catchUp(), 1000);
    follow("v1/events", {
      query: { session: [...known.keys()] }, signal: this.signal,
      onlive: (isLive) => isLive && this.#catchUp(),
      onevent: (event, data) => {
        const trace = known.get(data.session)?.trace;
        if (event !== "evaluation" || !trace) return;
        if (data.evaluation > trace.last + 1) missed();
        else if (trace.append(data)) this.repaint();
      },
    }).catch((error) => notify(error.message, "error"));
  }

  async #catchUp() {
    for (const run of this.runs) {
      const before = run.trace.count;
      try {
        await run.trace.loadRest(run.id, { signal: this.signal });
      } catch {
        continue;
      }
      if (run.trace.count > before) this.repaint();
    }
  }

  #build() {
    this.chart?.close();
    this.gradients?.close();
    const isEmpty = this.ids.length === 0;
    const head = el("div.title-row", el("h1", "Compare"),
      isEmpty ? null : el("a.button", {
        href: "#/compare", onclick: () => this.chosen.clear(),
      }, "Clear"));
    if (isEmpty) {
      const count = this.chosen.size;
      this.root.replaceChildren(head, el("div.empty",
        el("h2", "Nothing to compare yet"),
        el("p", "Mark sessions in the list by their boxes, then come back here."),
        count > 0
          ? el("a.button", { href: compareAddress(this.chosen) },
            `Compare the ${count} marked`)
          : el("a.button", { href: "#/" }, "To the sessions")));
      return;
    }
    const sources = this.runs.map((run) => ({ name: title(run.session), trace: run.trace,
      color: run.color }));
    const both = (zoom) => {
      this.chart.setZoom(zoom);
      this.gradients.setZoom(zoom);
    };
    this.gradientSettings = { ...this.settings, y: "log" };
    this.chart = new Chart({
      title: "Loss", column: "loss", sources, settings: this.settings, height: 340, onzoom: both,
    });
    this.gradients = new Chart({
      title: "Largest |g|", column: "gradient", sources, settings: this.gradientSettings,
      height: 220, onzoom: both,
    });
    const change = (name) => (value) => {
      this.settings[name] = value;
      if (name !== "y") this.gradientSettings[name] = value;
      for (const chart of [this.chart, this.gradients]) {
        chart.zoom = null;
        chart.rebuild();
      }
    };
    this.note = el("p.note", { role: "status" });
    this.body = el("tbody");
    const heads = ["Session", "State", "Mode", "n", "Evaluations", "Best loss", "Largest |g|",
      "Time", ""];
    this.root.replaceChildren(head,
      el("section.card", el("div.title-row", el("h2", "Runs"),
        el("div.actions",
          axisChoices(change, [["log", "Log"], ["linear", "Linear"]], this.settings.y))),
        this.chart.node, this.gradients.node, this.note),
      el("section.card", table("Runs", heads, this.body, 3)));
    if (this.runs.length === 0) setText(this.note, "Loading.");
  }

  #show() {
    this.chart.draw();
    this.gradients.draw();
    const decimated = this.runs.filter((run) => run.trace.isDecimated).length;
    const parts = [];
    if (decimated > 0)
      parts.push(`${decimated} long traces show the least and greatest loss of ranges.`);
    for (const run of this.failed) parts.push(`${run.id}: ${run.error.message}`);
    setText(this.note, parts.join(" "));
    const best = Math.min(...this.runs.map((run) => this.#best(run) ?? Infinity));
    this.body.replaceChildren(...this.runs.map((run) => {
      const { session, trace } = run;
      const last = trace.count - 1;
      const swatch = el("span.swatch");
      swatch.style.background = color(`series-${run.color}`);
      const loss = this.#best(run);
      const cells = [whole(session.n), whole(Math.max(session.evaluation, trace.last)),
        loss === best && this.runs.length > 1 ? el("strong", number(loss)) : number(loss),
        last < 0 ? "–" : number(trace.gradient[last]),
          last < 0 ? "–" : duration(trace.elapsed[last])];
      return el("tr",
        el("td.run", swatch, el("a", { href: `#/s/${run.id}` }, title(session))),
        el("td", pill(session.state)), el("td", session.options.mode),
        cells.map((cell) => el("td.right", cell)),
        el("td", button("Remove", () => {
            this.chosen.delete(run.id);
            const rest = this.ids.filter((id) => id !== run.id);
            location.hash = compareAddress(rest);
        }, ".quiet", { "aria-label": `Remove ${title(session)}` })));
    }));
  }

  #best(run) {
    const seen = run.trace.least;
    const told = bestLoss(run.session);
    return Number.isFinite(seen) ? Math.min(seen, told ?? Infinity) : told;
  }
}

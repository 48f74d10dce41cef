// A session: its numbers, charts, line searches and what can be done with it.

import { follow, get, send, sessionPath } from "./api.js";
import { axisChoices, Chart, nearest } from "./chart.js";
import { button, el, notify, saveAs, setText, throttled } from "./dom.js";
import { age, number, plural, whole } from "./format.js";
import {
  CheckpointsPanel, LineagePanel, OptionsPanel, ProgramsPanel, StepsPanel, stopStep,
} from "./panels.js";
import { loadTrials, SearchPanel } from "./search.js";
import { bestLoss, labelChips, pill, title } from "./sessions.js";
import { Trace } from "./trace.js";

/** Evaluations in view up to which a decimated trace is loaded in full there. */
const detailMax = 20000;

export class SessionView {
  constructor(root, { id, signal }) {
    Object.assign(this, { root, id, signal });
    this.settings = { x: "evaluation", xLog: false, y: "log" };
    this.steps = new StepsPanel(signal);
    this.options = new OptionsPanel(signal);
    this.lineage = new LineagePanel(signal);
    this.programs = new ProgramsPanel();
    this.search = new SearchPanel();
    this.checkpoints = new CheckpointsPanel(signal, () => this.reload());
    signal.addEventListener("abort", () => this.#close());
    root.replaceChildren(el("p.empty", { role: "status" }, "Loading."));
    this.#start();
  }

  #close() {
    for (const chart of this.charts ?? []) chart.close();
    this.search.close();
    clearInterval(this.timer);
  }

  async #start() {
    const { signal } = this;
    try {
      this.session = await get(sessionPath(this.id), { signal });
      this.trace = await Trace.load(this.id, { expected: this.session.evaluation, signal });
    } catch (error) {
      if (error.name === "AbortError") return;
      this.root.replaceChildren(el("div.empty",
        el("h1", error.status === 404 ? "There is no such session" : "The session can't be read"),
        el("p", error.message), el("p", el("a", { href: "#/" }, "To the sessions"))));
      return;
    }
    if (!(this.trace.least > 0)) this.settings.y = this.trace.least < Infinity ? "gap" : "linear";
    this.#build();
    this.#showSession();
    this.#showTrace();
    this.programs.show(this.session);
    this.lineage.show(this.session);
    this.timer = setInterval(() => this.#showAge(), 5000);
    this.refresh = throttled(() => this.reload(), 1500);
    follow(sessionPath(this.id, "/events"), {
      signal,
      headers: () => (this.trace.last > 0 ? { "Last-Event-ID": String(this.trace.last) } : {}),
      onlive: (isLive) => {
        this.live.classList.toggle("off", !isLive);
        setText(this.live, isLive ? "live" : "not connected");
      },
      onevent: (event, data) => this.#take(event, data),
    }).catch((error) => notify(error.message, "error"));
  }

  #take(event, data) {
    if (event === "evaluation") {
      if (!this.trace.append(data)) return;
      this.session.evaluation = Math.max(this.session.evaluation, data.evaluation);
      this.session.updated_at = data.time;
      if (data.loss !== null) this.session.loss = data.loss;
      const { least, greatest } = this.trace;
      const best = this.session.options.maximize ? greatest : least;
      if (Number(data.loss) === best) this.session.best = { loss: best,
        evaluation: data.evaluation };
      this.repaint();
    } else if (event === "step") {
      this.steps.add(data);
      this.refresh();
    } else if (event === "expiring") notify(`This session expires at ${data.expires_at}.`, "error");
  }

  /** The session anew, without its trace. */
  async reload() {
    try {
      this.session = await get(sessionPath(this.id), { signal: this.signal });
      this.#showSession();
      this.#showTrace();
    } catch (error) {
      if (error.name !== "AbortError") notify(error.message, "error");
    }
  }

  #build() {
    this.heading = el("h1");
    this.chips = el("div.chips.wrap");
    this.live = el("span.live.off", "not connected");
    this.stop = button("Stop step", async () => {
      if (!await stopStep(this.session)) return;
      notify("The step was stopped.");
      this.reload();
    }, ".danger");
    this.figures = {};
    const names = [["loss", "Loss"], ["best", "Best loss"], ["gradient", "Largest |g|"],
      ["evaluation", "Evaluations"], ["step", "Step"], ["activity", "Activity"]];
    const figures = el("dl.figures", names.map(([key, text]) => {
      this.figures[key] = el("dd");
      return el("div", el("dt", text), this.figures[key]);
    }));
    this.repaint = throttled(() => this.#showTrace(), 120);
    this.root.replaceChildren(
      el("p.note", el("a", { href: "#/" }, "Sessions"), " / ", el("code", this.id)),
      el("div.title-row", this.heading,
        el("div.actions",
          el("a.button", { href: `#/compare?s=${this.id}` }, "Compare"),
          button("x as .npy", () => this.#download("npy")),
          button("Trace as CSV", () => this.#download("csv")),
          this.stop)),
      this.chips, figures, this.#buildCharts(), this.search.node, this.steps.node,
      el("div.columns", el("div", this.options.node),
        el("div", this.checkpoints.node, this.lineage.node, this.programs.node)));
  }

  #buildCharts() {
    const source = () => this.#sources(this.trace);
    const common = {
      settings: this.settings, onpick: (x) => this.#pick(x), onzoom: (zoom) => this.#zoom(zoom),
    };
    const lengths = { ...this.settings, y: "log" };
    this.charts = [
      new Chart({ ...common, title: "Loss", column: "loss", sources: source(), height: 260 }),
      new Chart({
        ...common, title: "Largest |g|", column: "gradient", sources: source(), height: 200,
        settings: lengths,
      }),
      new Chart({
        ...common, title: "Step length t", column: "length", sources: source(), height: 150,
        settings: lengths,
      }),
    ];
    this.note = el("p.note");
    this.marks = el("p.legend");
    const change = (name) => (value) => {
      const isX = name !== "y";
      this.settings[name] = value;
      if (isX) lengths[name] = value;
      for (const chart of this.charts) {
        if (isX) chart.zoom = null;
        chart.sources = source();
        chart.rebuild();
      }
      this.#showTrace();
    };
    this.nothing = el("p.empty", "No evaluation has been told yet.");
    this.plots = el("div", this.charts.map((chart) => chart.node));
    this.reset = button("Show all", () => this.#zoom(null), "", { hidden: true });
    return el("section.card", { "aria-labelledby": "run-title" },
      el("div.title-row", el("h2", { id: "run-title" }, "Run"), this.live, el("span.space"),
        el("div.actions",
          this.reset,
          axisChoices(change, [["log", "Log"], ["gap", "Log above best"], ["linear", "Linear"]],
            this.settings.y))),
      this.nothing, this.plots, this.marks, this.note);
  }

  #showSession() {
    const { session } = this;
    document.title = `${title(session)} · lbfgsd`;
    setText(this.heading, title(session));
    this.chips.replaceChildren(pill(session.state), el("span.chip", session.options.mode),
      ...labelChips(session.labels));
    this.stop.hidden = session.state === "idle";
    this.steps.show(session);
    this.options.show(session);
    this.checkpoints.show(session);
  }

  #showAge() {
    setText(this.figures.activity, age(this.session.updated_at));
  }

  #showTrace() {
    const { session, trace, figures } = this;
    setText(figures.loss, number(session.loss));
    setText(figures.best, number(bestLoss(session)));
    setText(figures.gradient, trace.count > 0 ? number(trace.gradient[trace.count - 1]) : "–");
    setText(figures.evaluation, whole(trace.last));
    setText(figures.step, whole(session.step));
    this.#showAge();
    this.nothing.hidden = trace.count > 0;
    this.plots.hidden = trace.count === 0;
    for (const chart of this.charts) {
      chart.sources = this.#sources(this.detail ?? this.trace);
      chart.draw();
    }
    const marks = [];
    if (trace.failed > 0)
      marks.push(el("span", el("span.cross", "✕ "),
        `${plural(trace.failed, "evaluation")} failed`));
    if (trace.notFinite > 0)
      marks.push(el("span", el("span.cross.warn", "✕ "),
        `${plural(trace.notFinite, "evaluation")} not finite`));
    const missed = trace.failures.reduce((sum, range) => sum + range.count, 0);
    if (missed > 0)
      marks.push(el("span", el("span.cross", "✕ "),
        `${plural(missed, "evaluation")} failed or had no finite loss`));
    this.marks.replaceChildren(...marks);
    this.#showNote();
  }

  #sources(trace) {
    const gap = gapOf(this.trace, this.session.options.maximize);
    return [{ name: title(this.session), trace, color: 0, gap }];
  }

  /** What the charts leave out is said. */
  #showNote() {
    const { of, isDecimated } = this.charts[0].drawn;
    const parts = [];
    if (this.trace.isDecimated && !this.detail)
      parts.push(`The least and the greatest loss of ${whole(this.trace.count / 2)} ranges of `
        + `${whole(this.trace.total)} evaluations; zoom in for all.`);
    else if (this.settings.y === "log" && !(this.trace.least > 0) && this.trace.least < Infinity)
      parts.push("Losses of zero and below have no logarithm; “Log above best” shows them.");
    else if (isDecimated)
      parts.push(`${whole(of)} evaluations; each pixel shows the least and greatest of a range.`);
    if (this.session.evaluation > this.trace.total + 1 && !this.trace.isDecimated)
      parts.push(`The daemon has kept ${whole(this.trace.total)} of them, the newest in full.`);
    if (this.settings.y === "gap") parts.push("Shown is the loss less the best one.");
    setText(this.note, parts.join(" "));
  }

  /** Zooms all charts, and loads what the server left out of a decimated trace. */
  async #zoom(zoom) {
    this.reset.hidden = zoom === null;
    const show = (trace) => {
      for (const chart of this.charts) {
        chart.sources = this.#sources(trace);
        chart.setZoom(zoom);
      }
      this.#showNote();
    };
    this.detail = null;
    show(this.trace);
    if (!zoom || !this.trace.isDecimated) return;
    const ends = zoom.map((x) => this.trace.evaluation[nearest(this.trace[this.settings.x],
      this.trace.count, x)]);
    if (ends[1] - ends[0] > detailMax) return;
    const wanted = Symbol("zoom");
    this.wanted = wanted;
    try {
      const detail = await Trace.loadRange(this.id, ends[0], ends[1], { signal: this.signal });
      if (this.wanted !== wanted || this.charts[0].zoom !== zoom) return;
      const began = this.trace.time[0];
      detail.elapsed = detail.time.map((time) => time - began);
      this.detail = detail;
      show(detail);
    } catch (error) {
      if (error.name !== "AbortError") notify(error.message, "error");
    }
  }

  async #pick(x) {
    const trace = this.detail ?? this.trace;
    const index = nearest(trace[this.settings.x], trace.count, x);
    if (index < 0) return;
    const [from, to] = trace.iterationAt(index);
    for (const chart of this.charts)
      chart.pick([trace[this.settings.x][from], trace[this.settings.x][to - 1]]);
    const [step, iteration] = [trace.step[index], trace.iteration[index]];
    try {
      const rows = await loadTrials(this.id, step, iteration, this.signal);
      const start = rows.find((row) => row.start.loss !== null)?.start;
      this.search.show(Object.assign(rows, { step, iteration, start }));
    } catch (error) {
      if (error.name !== "AbortError") notify(error.message, "error");
    }
  }

  async #download(form) {
    const name = title(this.session).replace(/[^\p{L}\p{N}._-]+/gu, "_");
    const [path, accept] = form === "npy" ? ["/params",
      "application/x-npy"] : ["/trace?limit=100000", "text/csv"];
    try {
      const response = await send("GET", sessionPath(this.id, path), { accept,
        signal: this.signal });
      saveAs(`${name}.${form}`, await response.blob());
    } catch (error) {
      notify(error.message, "error");
    }
  }
}

/** How far a loss is above the best one, or below it where the loss is maximized. */
function gapOf(trace, isMaximized) {
  const { least, greatest } = trace;
  if (!(least <= greatest)) return (loss) => loss;
  // A little more, so that the best one's own distance has a logarithm.
  const room = (best) => Math.max(Math.abs(best) * 1e-16, 1e-300);
  return isMaximized ? (loss) => greatest + room(greatest) - loss : (loss) => loss - least
    + room(least);
}

// Charts of traces: uPlot, with the least and the greatest value of each pixel, axes that may be
// logarithmic, marks where evaluations failed, and zoom by mouse, touch and keyboard.

import { choice, el, setText, throttled } from "./dom.js";
import { duration, number, powerOfTen, whole } from "./format.js";
import { decimate, kinds, lowerBound } from "./trace.js";

const live = new Set();
const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", () => live.forEach((chart) => chart.rebuild()));

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const seriesColors = 8;

/** The buttons for the axes of a chart, which begins with evaluations on a linear axis. */
export function axisChoices(change, scales, scale) {
  return [
    choice("Horizontal axis", [["evaluation", "Evaluations"], ["elapsed", "Time"]], "evaluation",
      change("x")),
    choice("Scale of the horizontal axis", [[false, "Linear x"], [true, "Log x"]], false,
      change("xLog")),
    choice("Scale of the loss", scales, scale, change("y")),
  ];
}

/** Values that a logarithmic axis can't show. */
const isNotPositive = (value) => !(value > 0 && value < Infinity);

/** The axis's ends around data from `least` to `greatest`. */
function extent(least, greatest, isLog) {
  if (!(least <= greatest)) return isLog ? [0.1, 10] : [0, 1];
  if (isLog) {
    const low = 10 ** (Math.log10(least) - 0.05);
    const high = 10 ** (Math.log10(greatest) + 0.05);
    return high / low < 10 ? [least / 3, greatest * 3] : [low, high];
  }
  const room = (greatest - least) * 0.06 || Math.abs(greatest) * 0.1 || 1;
  return [least - room, greatest + room];
}

/** Where a logarithmic axis has its lines: at powers of ten, between them if there are few. */
function logSplits(low, high, most) {
  const from = Math.ceil(Math.log10(low) - 1e-9);
  const to = Math.floor(Math.log10(high) + 1e-9);
  const splits = [];
  if (to - from >= 2) {
    const each = Math.ceil((to - from + 1) / Math.max(2, most));
    for (let power = from; power <= to; power += each) splits.push(10 ** power);
    return splits;
  }
  for (let power = from - 1; power <= to; power += 1)
    for (const digit of [1, 2, 5]) splits.push(digit * 10 ** power);
  const inside = splits.filter((split) => split >= low && split <= high);
  return inside.length > 1 ? inside : [low, (low + high) / 2, high];
}

export class Chart {
  /**
   * - sources: [{name, trace, color}], all drawn with the values of one column
   * - column: loss, gradient or length
   * - settings: {x: "evaluation" | "elapsed", xLog, y: "linear" | "log" | "gap"}, read at each draw
   */
  constructor({ title, column, sources, settings, height = 220, onpick = null, onzoom = null }) {
    Object.assign(this, { title, column, sources, settings, height, onpick, onzoom });
    this.zoom = null;
    this.picked = null;
    this.drawn = { of: 0, isDecimated: false };
    this.readout = el("output.readout");
    this.plot = el("div.plot", {
      tabindex: "0", role: "img", onkeydown: (event) => this.#key(event),
    });
    this.node = el("figure.chart",
      el("figcaption", el("span.chart-title", title), this.readout), this.plot);
    this.schedule = throttled(() => this.draw());
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.plot);
    live.add(this);
  }

  close() {
    live.delete(this);
    this.observer.disconnect();
    this.u?.destroy();
    this.u = null;
    this.isClosed = true;
  }

  /** A scale or the colors changed. */
  rebuild() {
    this.u?.destroy();
    this.u = null;
    this.draw();
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.draw();
  }

  pick(range) {
    this.picked = range;
    this.u?.redraw(false);
  }

  #resize() {
    const width = this.plot.clientWidth;
    if (!this.u || width === 0 || width === this.u.width) return;
    this.u.setSize({ width, height: this.height });
    this.draw();
  }

  get isLog() {
    return this.settings.y !== "linear";
  }

  /** The greatest common start and end of all sources. */
  #full() {
    let low = Infinity;
    let high = -Infinity;
    for (const { trace } of this.sources) {
      if (trace.count === 0) continue;
      const xs = trace[this.settings.x];
      const first = this.settings.xLog ? lowerBound(xs, trace.count, 1e-9) : 0;
      if (first < trace.count) low = Math.min(low, xs[first]);
      high = Math.max(high, xs[trace.count - 1]);
    }
    if (!(low <= high)) return this.settings.xLog ? [1, 10] : [0, 1];
    return low === high ? [low * 0.9, high * 1.1 + (high === 0 ? 1 : 0)] : [low, high];
  }

  get range() {
    return this.zoom ?? this.#full();
  }

  /** The columns of what can be seen, as uPlot wants them. */
  #data(width) {
    const [low, high] = this.range;
    const skips = this.settings.y === "log" ? isNotPositive : undefined;
    const buckets = Math.max(50, Math.floor(width));
    let of = 0;
    let isDecimated = false;
    let least = Infinity;
    let greatest = -Infinity;
    const isGap = this.settings.y === "gap";
    const tables = this.sources.map(({ trace, gap }) => {
      const xs = trace[this.settings.x];
      const values = trace[this.column];
      const from = Math.max(0, lowerBound(xs, trace.count, low) - 1);
      const to = Math.min(trace.count, lowerBound(xs, trace.count, high) + 2);
      const indices = decimate(values, from, to, buckets, skips);
      of += to - from;
      isDecimated ||= to - from > 2 * buckets;
      const table = [[], []];
      for (const index of indices) {
        const y = isGap ? gap(values[index]) : values[index];
        if (this.settings.xLog && !(xs[index] > 0)) continue;
        if (isGap && !(y > 0)) continue;
        table[0].push(xs[index]);
        table[1].push(y);
        if (xs[index] < low || xs[index] > high) continue;
        if (y < least) least = y;
        if (y > greatest) greatest = y;
      }
      return table;
    });
    this.drawn = { of, isDecimated };
    this.yRange = extent(least, greatest, this.isLog);
    return tables.length === 1 ? tables[0] : uPlot.join(tables);
  }

  draw() {
    if (this.isClosed || !this.plot.isConnected || this.sources.length === 0) return;
    const width = this.plot.clientWidth;
    if (width === 0) return;
    const began = performance.now();
    const data = this.#data(width);
    if (this.u) this.u.setData(data);
    else this.#build(width, data);
    this.milliseconds = performance.now() - began;
    this.#describe();
    this.ondraw?.(this);
  }

  #describe() {
    const { trace } = this.sources[0] ?? {};
    const [low, high] = this.range;
    const last = trace && trace.count > 0 ? trace[this.column][trace.count - 1] : null;
    this.plot.setAttribute("aria-label",
      `${this.title} from ${this.xText(low)} to ${this.xText(high)}; last value ${number(last)}. `
      + "Plus and minus zoom, arrows move, 0 shows all.");
  }

  xText(value) {
    return this.settings.x === "elapsed" ? duration(value) : whole(value);
  }

  #build(width, data) {
    const text = color("quiet");
    const grid = { stroke: color("line"), width: 1 };
    const { xLog } = this.settings;
    const axis = (isLog, space, more, show) => ({
      stroke: text, grid, ticks: { ...grid, size: 4 }, font: "12px system-ui, sans-serif", space,
      gap: 4, ...more, values: (_,
        splits) => splits.map((split) => (split === null ? "" : show(split))),
      ...(isLog ? {
        filter: (_, splits) => splits,
        splits: (u, index, low, high) =>
          logSplits(low, high, (index === 0 ? u.width : u.height) / space),
      } : {}),
    });
    const xShow = (split) =>
      (this.settings.x === "elapsed" ? duration(split) : xLog || Number.isInteger(split)
        ? whole(split) : "");
    const names = this.sources.map((source, index) => ({
      label: source.name, stroke: color(`series-${source.color ?? index % seriesColors}`),
        width: 1.5,
      spanGaps: true, points: { size: 5 },
    }));
    const options = {
      width, height: this.height, legend: { show: false },
      padding: [8, 12, 0, 0],
      scales: {
        x: { time: false, distr: xLog ? 3 : 1, range: () => this.range },
        y: { distr: this.isLog ? 3 : 1, range: () => this.yRange },
      },
      axes: [
        axis(xLog, 80, { size: 30 }, xShow),
        axis(this.isLog, this.isLog ? 30 : 36, { size: 62 },
          (split) => (this.isLog ? powerOfTen(split) : number(split, 4))),
      ],
      series: [{}, ...names],
      cursor: {
        points: { size: 7 }, drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => this.#zoomTo(null) },
      },
      hooks: {
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          this.#zoomTo([u.posToVal(u.select.left, "x"),
            u.posToVal(u.select.left + u.select.width, "x")]);
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
        setCursor: [(u) => this.#read(u)],
        drawClear: [(u) => this.#drawPicked(u)],
        draw: [(u) => this.#drawMarks(u)],
      },
    };
    this.u = new uPlot(options, data, this.plot);
    this.u.over.addEventListener("click", () => {
      const { left } = this.u.cursor;
      if (this.onpick && left >= 0) this.onpick(this.u.posToVal(left, "x"));
    });
  }

  #zoomTo(zoom) {
    const full = this.#full();
    if (zoom) zoom = [Math.max(zoom[0], full[0]), Math.min(zoom[1], full[1])];
    if (zoom && !(zoom[1] > zoom[0])) return;
    if (zoom && zoom[0] <= full[0] && zoom[1] >= full[1]) zoom = null;
    if (this.onzoom) this.onzoom(zoom);
    else this.setZoom(zoom);
  }

  #key(event) {
    const log = this.settings.xLog;
    const [low, high] = this.range.map((value) => (log ? Math.log(value) : value));
    const width = high - low;
    const moves = {
      "+": [0.25, -0.25], "=": [0.25, -0.25], "-": [-0.5, 0.5], ArrowLeft: [-0.2, -0.2],
      ArrowRight: [0.2, 0.2],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0" || event.key === "Home") this.#zoomTo(null);
    else if (event.key === "Enter" && this.onpick) this.onpick(this.range[1]);
    else if (moves[event.key]) {
      const [left, right] = moves[event.key];
      this.#zoomTo([low + left * width, high + right * width].map((v) => (log ? Math.exp(v) : v)));
    } else return;
    event.preventDefault();
  }

  /** What is under the cursor. */
  #read(u) {
    const { left } = u.cursor;
    if (left === undefined || left < 0) return setText(this.readout, "");
    const x = u.posToVal(left, "x");
    const parts = this.sources.map(({ name, trace }) => {
      const index = nearest(trace[this.settings.x], trace.count, x);
      if (index < 0) return null;
      const value = trace.kind[index] === kinds.failed ? "failed"
        : number(trace[this.column][index]);
      return this.sources.length === 1
        ? `evaluation ${whole(trace.evaluation[index])}: ${value}` : `${name}: ${value}`;
    });
    setText(this.readout, parts.filter(Boolean).slice(0, 4).join("   "));
  }

  #drawPicked(u) {
    if (!this.picked) return;
    const { left, top, width, height } = u.bbox;
    const clamp = (x) => Math.min(left + width, Math.max(left, x));
    const from = clamp(u.valToPos(this.picked[0], "x", true) - 3 * devicePixelRatio);
    const to = clamp(u.valToPos(this.picked[1], "x", true) + 3 * devicePixelRatio);
    if (!(to > from)) return;
    u.ctx.fillStyle = color("picked");
    u.ctx.fillRect(from, top, to - from, height);
  }

  /** Crosses at the lower edge: red where an evaluation failed, amber where it was not finite. */
  #drawMarks(u) {
    const ratio = devicePixelRatio;
    const { ctx, bbox } = u;
    const y = bbox.top + bbox.height - 7 * ratio;
    const [low, high] = this.range;
    ctx.save();
    ctx.lineWidth = 1.5 * ratio;
    const cross = (value, name, taken) => {
      const x = Math.round(u.valToPos(value, "x", true) / (4 * ratio)) * 4 * ratio;
      if (taken.has(x)) return;
      taken.add(x);
      ctx.strokeStyle = color(name);
      ctx.beginPath();
      for (const slant of [1, -1]) {
        ctx.moveTo(x - 3 * ratio, y - slant * 3 * ratio);
        ctx.lineTo(x + 3 * ratio, y + slant * 3 * ratio);
      }
      ctx.stroke();
    };
    for (const { trace } of this.sources) {
      const xs = trace[this.settings.x];
      const taken = new Set();
      for (const range of trace.failures) {
        const at = (range.from + range.to) / 2;
        const x = this.settings.x === "evaluation"
          ? at : xs[nearest(trace.evaluation, trace.count, at)];
        if (x >= low && x <= high) cross(x, "bad", taken);
      }
      if (trace.failed + trace.notFinite === 0) continue;
      const to = lowerBound(xs, trace.count, high + 1e-9);
      for (let index = lowerBound(xs, trace.count, low); index < to; index += 1)
        if (trace.kind[index] !== kinds.finite)
          cross(xs[index], trace.kind[index] === kinds.failed ? "bad" : "warn", taken);
    }
    ctx.restore();
  }
}

export function nearest(xs, count, x) {
  if (count === 0) return -1;
  const after = Math.min(count - 1, lowerBound(xs, count, x));
  return after > 0 && x - xs[after - 1] < xs[after] - x ? after - 1 : after;
}

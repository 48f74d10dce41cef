// The line search of one iteration: loss and slope against the step length t.

import { get, sessionPath } from "./api.js";
import { color } from "./chart.js";
import { el, table } from "./dom.js";
import { number, numeric, whole } from "./format.js";
/** The trials of one iteration, as the API has them. */
export async function loadTrials(id, step, iteration, signal) {
  const { trace } = await get(sessionPath(id, "/trace"), { query: { step, iteration }, signal });
  return trace.map((point) => ({
    evaluation: point.evaluation, t: numeric(point.step_length), loss: numeric(point.loss),
    slope: numeric(point.slope), gradient: numeric(point.gradient_norm_inf),
    isAccepted: point.accepted === true,
    start: { t: 0, loss: numeric(point.start_loss), slope: numeric(point.start_slope) },
  }));
}

const isKnown = (value) => value !== null && Number.isFinite(value);

/** Two small charts beside each other, drawn once: points, tangents, and the accepted point. */
export class SearchPanel {
  constructor() {
    this.body = el("div");
    this.node = el("section.card", { "aria-labelledby": "search-title" },
      el("h2", { id: "search-title" }, "Line search"), this.body);
    this.plots = [];
    this.show(null);
  }

  close() {
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
  }

  show(rows) {
    this.close();
    if (!rows) {
      this.body.replaceChildren(el("p.note",
        "Choose a point in a chart to see how its step length was found."));
      return;
    }
    const { start, step, iteration } = rows;
    const points = rows.filter((row) => isKnown(row.loss) && isKnown(row.t));
    if (isKnown(start?.loss)) points.push({ ...start, isStart: true });
    points.sort((a, b) => a.t - b.t);
    const heading = iteration === 0 ? `Step ${whole(step)} began here`
      : `Step ${whole(step)}, iteration ${whole(iteration)}: ${rows.length === 1
        ? "the first length was taken" : `${rows.length} lengths were tried`}`;
    const charts = el("div.columns");
    this.body.replaceChildren(el("p", heading), charts, this.#table(rows, start));
    if (points.length < 2) return;
    const columns = points.some((point) => isKnown(point.slope)) ? ["loss", "slope"] : ["loss"];
    const holders = columns.map((column) => {
      const title = `${column === "loss" ? "Loss" : "Slope"} against t`;
      const holder = el("div.plot", { role: "img", "aria-label": title });
      charts.append(el("figure.chart", el("figcaption", el("span.chart-title", title)), holder));
      return holder;
    });
    for (const [index, column] of columns.entries()) this.#plot(holders[index], points, column);
  }

  #plot(holder, points, column) {
    const shown = points.filter((point) => isKnown(point[column]));
    const xs = shown.map((point) => point.t);
    const ys = shown.map((point) => point[column]);
    const margin = (values, zero) => {
      const least = Math.min(...values, ...(zero ? [0] : []));
      const greatest = Math.max(...values, ...(zero ? [0] : []));
      const room = (greatest - least) * 0.12 || Math.abs(greatest) * 0.1 || 1;
      return [least - room, greatest + room];
    };
    const axis = (size) => ({
      stroke: color("quiet"), grid: { stroke: color("line"), width: 1 }, size,
      font: "12px system-ui, sans-serif",
      values: (_, splits) => splits.map((split) => number(split, 5)),
    });
    const draw = (u) => {
      const { ctx } = u;
      const ratio = devicePixelRatio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      ctx.clip();
      for (const [index, point] of shown.entries()) {
        const x = u.valToPos(xs[index], "x", true);
        const y = u.valToPos(ys[index], "y", true);
        if (column === "loss" && isKnown(point.slope)) {
          const half = (u.scales.x.max - u.scales.x.min) * 0.06;
          ctx.strokeStyle = color("series-1");
          ctx.lineWidth = 1.5 * ratio;
          ctx.beginPath();
          for (const [side, move] of [[-half, "moveTo"], [half, "lineTo"]])
            ctx[move](u.valToPos(xs[index] + side, "x", true),
              u.valToPos(ys[index] + side * point.slope, "y", true));
          ctx.stroke();
        }
        ctx.fillStyle = color(point.isStart ? "quiet" : "series-0");
        ctx.beginPath();
        ctx.arc(x, y, 3.5 * ratio, 0, 7);
        ctx.fill();
        if (!point.isAccepted) continue;
        ctx.strokeStyle = color("good");
        ctx.lineWidth = 2 * ratio;
        ctx.beginPath();
        ctx.arc(x, y, 7 * ratio, 0, 7);
        ctx.stroke();
      }
      ctx.restore();
    };
    this.plots.push(new uPlot({
      width: holder.clientWidth || 320, height: 200, legend: { show: false },
      cursor: { show: false }, padding: [8, 12, 0, 0],
      scales: {
        x: { time: false, range: () => margin(xs, true) },
        y: { range: () => margin(ys, column === "slope") },
      },
      axes: [axis(30), axis(66)],
      series: [{}, { stroke: color("line"), width: 1, points: { show: false } }],
      hooks: { draw: [draw] },
    }, [xs, ys], holder));
  }

  #table(rows, start) {
    const hasSlopes = rows.some((row) => isKnown(row.slope));
    const heads = ["Evaluation", "t", "Loss", ...(hasSlopes ? ["Slope"] : []), "Largest |g|", ""];
    const line = (name, row) => el(row.isAccepted ? "tr.accepted" : "tr", [
      name, number(row.t), row.loss === null ? "failed" : number(row.loss, 9),
      ...(hasSlopes ? [number(row.slope)] : []), number(row.gradient),
      row.isAccepted ? "accepted" : "",
    ].map((cell) => el("td.right", cell)));
    const body = rows.map((row) => line(whole(row.evaluation), row));
    if (isKnown(start?.loss)) body.unshift(line("start", start));
    return table("Trials", heads, el("tbody", body), 0);
  }
}

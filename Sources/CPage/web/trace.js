// A session's trace in columns, and its decimation for charts.

import { get, sessionPath } from "./api.js";
import { numeric } from "./format.js";

export const kinds = { finite: 0, failed: 1, notFinite: 2 };

/** Entries that are loaded one by one; a longer trace is decimated by the server. */
const wholeMax = 20000;
const decimatedPoints = 10000;

const columns = ["evaluation", "step", "iteration", "loss", "gradient", "length", "time",
  "elapsed"];

/** Columns of one length, each a Float64Array with room to grow. */
export class Trace {
  constructor(capacity = 1024) {
    this.count = 0;
    /** How many entries the server has; more than `count` if it decimated them. */
    this.total = 0;
    this.isDecimated = false;
    this.failed = 0;
    this.notFinite = 0;
    /** Ranges {from, to, count} of evaluations without a finite loss, of a decimated trace. */
    this.failures = [];
    this.least = Infinity;
    this.greatest = -Infinity;
    this.kind = new Uint8Array(capacity);
    for (const name of columns) this[name] = new Float64Array(capacity);
  }

  #grow() {
    for (const name of [...columns, "kind"]) {
      const larger = new this[name].constructor(this[name].length * 2);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  get last() {
    return this.count === 0 ? 0 : this.evaluation[this.count - 1];
  }

  /** Appends a point of the API, unless it has it already. Returns whether it was new. */
  append(point) {
    if (point.evaluation <= this.last) return false;
    if (this.count === this.kind.length) this.#grow();
    const index = this.count;
    const loss = numeric(point.loss);
    const gradient = numeric(point.gradient_norm_inf);
    this.evaluation[index] = point.evaluation;
    this.step[index] = point.step;
    this.iteration[index] = point.iteration;
    this.loss[index] = loss ?? NaN;
    this.gradient[index] = gradient ?? NaN;
    this.length[index] = numeric(point.step_length) ?? NaN;
    this.time[index] = Date.parse(point.time) / 1000;
    this.elapsed[index] = this.time[index] - this.time[0];
    if (loss === null) {
      this.kind[index] = kinds.failed;
      this.failed += 1;
    } else if (!Number.isFinite(loss) || !Number.isFinite(gradient)) {
      this.kind[index] = kinds.notFinite;
      this.notFinite += 1;
    } else {
      this.kind[index] = kinds.finite;
      this.least = Math.min(this.least, loss);
      this.greatest = Math.max(this.greatest, loss);
    }
    this.count += 1;
    this.total = Math.max(this.total + 1, this.count);
    return true;
  }

  /** The evaluations of one iteration: the indices [from, to). */
  iterationAt(index) {
    const same = (other) => this.step[other] === this.step[index]
      && this.iteration[other] === this.iteration[index];
    let from = index;
    let to = index + 1;
    while (from > 0 && same(from - 1)) from -= 1;
    while (to < this.count && same(to)) to += 1;
    return [from, to];
  }

  /**
   * Loads a session's trace. `expected` is about how many entries it has: beyond 20,000 the server
   * is asked for fewer, with the least and the greatest loss of each range.
   */
  static async load(id, { expected = 0, signal } = {}) {
    const trace = new Trace();
    if (expected > wholeMax) {
      const document = await get(sessionPath(id, "/trace"), {
        query: { points: decimatedPoints }, signal,
      });
      for (const point of document.trace) trace.append(point);
      trace.#note(document);
      return trace;
    }
    await trace.loadRest(id, { signal });
    trace.total = trace.count;
    return trace;
  }

  #note({ decimated }) {
    if (!decimated) return;
    this.total = decimated.entries;
    this.isDecimated = this.total > this.count;
    this.failures = decimated.failures ?? [];
  }

  /** Loads what came after the last entry. */
  async loadRest(id, { signal } = {}) {
    for (let from = this.last + 1; from !== null;) {
      const document = await get(sessionPath(id, "/trace"), { query: { from, limit: 20000 },
        signal });
      for (const point of document.trace) this.append(point);
      from = document.trace.length > 0 ? document.next : null;
    }
  }

  /** The entries of some evaluations, all of them. */
  static async loadRange(id, from, to, { signal } = {}) {
    const document = await get(sessionPath(id, "/trace"), {
      query: { from: Math.max(1, Math.floor(from)), limit: Math.max(1, Math.ceil(to - from) + 1) },
      signal,
    });
    const trace = new Trace();
    for (const point of document.trace) trace.append(point);
    return trace;
  }
}

export function lowerBound(values, count, value) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The indices in [from, to) to draw: all of them if they are at most twice `buckets`, and otherwise
 * the least and the greatest of each of so many equal ranges,
   in order. Values that `skips` are left
 * out. O(to - from).
 */
export function decimate(values, from, to, buckets, skips = (value) => !Number.isFinite(value)) {
  const indices = [];
  const count = to - from;
  if (count <= 2 * buckets) {
    for (let index = from; index < to; index += 1) if (!skips(values[index])) indices.push(index);
    return indices;
  }
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const end = from + Math.floor(((bucket + 1) * count) / buckets);
    let least = -1;
    let greatest = -1;
    for (let index = from + Math.floor((bucket * count) / buckets); index < end; index += 1) {
      const value = values[index];
      if (skips(value)) continue;
      if (least < 0 || value < values[least]) least = index;
      if (greatest < 0 || value > values[greatest]) greatest = index;
    }
    if (least < 0) continue;
    indices.push(Math.min(least, greatest));
    if (least !== greatest) indices.push(Math.max(least, greatest));
  }
  return indices;
}

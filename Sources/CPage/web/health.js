// The daemon: whether it can work, and how near its limits are.

import { get, send, text } from "./api.js";
import { el, setText } from "./dom.js";
import { bytes, duration, number, whole } from "./format.js";

/** Prometheus' text as {name: [{labels, value}]}. Histograms' buckets are left out. */
export function parseMetrics(document) {
  const metrics = new Map();
  for (const line of document.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match || match[1].endsWith("_bucket")) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels[name] = value;
    metrics.set(match[1], [...(metrics.get(match[1]) ?? []), { labels, value: Number(match[3]) }]);
  }
  return metrics;
}

export class HealthView {
  constructor(root, { signal }) {
    Object.assign(this, { root, signal });
    this.ready = el("span.pill", "asking");
    this.detail = el("p.note", { role: "status" });
    this.cards = el("div.columns");
    this.root.replaceChildren(
      el("div.title-row", el("h1", "Health"), this.ready), this.detail, this.cards);
    this.#refresh();
    const timer = setInterval(() => document.hidden || this.#refresh(), 3000);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  async #refresh() {
    const { signal } = this;
    const [ready, metrics, limits] = await Promise.allSettled([
      send("GET", "readyz", { signal }), text("metrics", { signal }), get("v1/limits", { signal }),
    ]);
    if (signal.aborted) return;
    const isReady = ready.status === "fulfilled";
    this.ready.className = `pill ${isReady ? "good" : "bad"}`;
    setText(this.ready, isReady ? "ready" : "not ready");
    const reasons = [];
    if (!isReady) reasons.push(ready.reason.message);
    if (metrics.status === "rejected") reasons.push(`No metrics: ${metrics.reason.message}`);
    if (limits.status === "rejected") reasons.push(`No limits: ${limits.reason.message}`);
    setText(this.detail, reasons.join(" "));
    this.#show(metrics.value ? parseMetrics(metrics.value) : new Map(), limits.value);
  }

  #show(metrics, limits) {
    const of = (name) => metrics.get(name)?.[0]?.value ?? null;
    const one = (name) => of(`lbfgsd_${name}`);
    const row = (text, value, format = whole, most = 0) =>
      [text, Number.isFinite(value) ? format(value) + (most > 0 ? ` of ${format(most)}` : "") : "–",
        value, most];
    const state = (text, name) => row(text,
      metrics.get("lbfgsd_sessions")?.find(({ labels }) => labels.state === name)?.value ?? null);
    const mean = (name) => (one(`${name}_count`) > 0 ? one(`${name}_sum`) / one(`${name}_count`)
      : null);
    const quota = limits?.tenant ?? {};
    const started = of("process_start_time_seconds");
    const used = one("disk_used_bytes");
    this.cards.replaceChildren(
      card("Daemon", [
        ["Version", metrics.get("lbfgsd_build_info")?.[0]?.labels.version ?? "–"],
        row("Up since", started, (at) => new Date(at * 1000).toLocaleString()),
        row("Processor time", of("process_cpu_seconds_total"), duration),
        row("Open connections", one("http_connections_open"), whole, limits?.connections_max),
        row("Open files", of("process_open_fds"), whole, of("process_max_fds")),
        row("Waiting clients", one("waiters"), whole, limits?.waiters_max),
      ]),
      card("Sessions", [
        state("Idle", "idle"), state("Waiting for an evaluation", "evaluating"),
        state("Waiting for a hook", "awaiting_hook"), state("Damaged", "damaged"),
        row("In memory", one("sessions_resident"), whole, limits?.resident_sessions_max),
        row("Evaluations told", one("evaluations_total")),
        row("Oldest unanswered evaluation", one("oldest_unanswered_evaluation_seconds"), duration),
      ]),
      card("Disk", [
        row("Store", used, bytes, used + one("disk_free_bytes")),
        row("Free", one("disk_free_bytes"), bytes),
        row("Kept for results", one("disk_reserve_bytes"), bytes),
        row("Commits", one("store_commits_total")),
        row("Mean commit", mean("store_commit_seconds"), duration),
        row("Mean sync", mean("store_sync_seconds"), duration),
      ]),
      card("Memory", [
        row("Process", of("process_resident_memory_bytes"), bytes),
        row("Sessions", one("sessions_resident_bytes"), bytes, limits?.resident_bytes_max),
        row("Request bodies", one("http_body_bytes_in_flight"), bytes,
          limits?.body_bytes_in_flight_max),
        row("Responses", one("http_response_bytes_in_flight"), bytes,
          limits?.response_bytes_in_flight_max),
      ]),
      card("Your quota", [
        ["Tenant", quota.name ?? "–"],
        row("Sessions", quota.sessions, whole, quota.sessions_max),
        row("On disk", quota.disk_bytes, bytes, quota.disk_bytes_max),
        row("In memory", quota.memory_bytes, bytes, quota.memory_bytes_max),
        row("Requests in flight", quota.requests_in_flight, whole, quota.requests_in_flight_max),
      ]),
      card("Limits", Object.entries(limits ?? {}).filter(([, value]) => typeof value === "number")
        .map(([name, value]) => [name.replaceAll("_", " "),
          /bytes/.test(name) ? bytes(value) : number(value, 9)]), true));
  }
}

/** Rows are [name, text] or, with a bar, [name, text, value, most]. */
function card(heading, rows, isFolded = false) {
  const list = el("dl.pairs", rows.flatMap(([name, content, value, most]) => [
    el("dt", name),
    el("dd", content, value !== null && value !== undefined && most > 0
      ? el("meter", { min: "0", max: "1", value: String(value / most), high: "0.85",
        "aria-label": `${name}: share of the limit` })
      : null),
  ]));
  return el("section.card", el("h2", heading),
    isFolded ? el("details", { open: card.isOpen ?? false,
      ontoggle: (event) => { card.isOpen = event.target.open; } },
      el("summary", `All ${rows.length}`), list) : list);
}

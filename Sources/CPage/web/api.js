// The public API: requests with the tab's token, pages of lists, and streams of events.

import { ask } from "./dom.js";

const key = "lbfgsd-token";
const base = new URL(".", document.baseURI);

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The server answered ${status}.`);
    this.status = status;
  }
}

export function hasToken() {
  return sessionStorage.getItem(key) !== null;
}

export function forgetToken() {
  sessionStorage.removeItem(key);
  dispatchEvent(new Event("token"));
}

let asking = null;

/** Asks for a token once, whatever number of requests need it. Resolves to whether there is one. */
function askForToken(detail) {
  asking ??= ask({
    title: "This daemon needs a token", text: `${detail} It is kept for this tab only.`,
    action: "Use token",
    fields: [{ name: "token", label: "Token", type: "password", required: true }],
  }).then((values) => {
    asking = null;
    if (!values?.token) return false;
    sessionStorage.setItem(key, values.token.trim());
    dispatchEvent(new Event("token"));
    return true;
  });
  return asking;
}

export function address(path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query))
    for (const item of Array.isArray(value) ? value : [value])
      if (item !== null && item !== undefined && item !== "") url.searchParams.append(name, item);
  return url;
}

/** A response whose status is a success; throws Problem for others. */
export async function send(method, path, { query, body, accept = "application/json", headers = {},
  signal } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(key);
    const fields = { Accept: accept, ...headers };
    if (token) fields.Authorization = `Bearer ${token}`;
    if (body !== undefined) fields["Content-Type"] = "application/json";
    const response = await fetch(address(path, query), {
      method, headers: fields, signal, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok) return response;
    const document = await response.json().catch(() => ({}));
    // Another request may have asked for the token while this one was sent.
    if (response.status === 401) {
      if (sessionStorage.getItem(key) !== token
        || (await askForToken(document.detail ?? ""))) continue;
    }
    throw new Problem(response.status, document);
  }
}

export async function get(path, options) {
  return (await send("GET", path, options)).json();
}

export async function post(path, body = {}, options = {}) {
  return (await send("POST", path, { body, ...options })).json();
}

export async function text(path, options) {
  return (await send("GET", path, { accept: "*/*", ...options })).text();
}

export function sessionPath(id, rest = "") {
  return `v1/sessions/${encodeURIComponent(id)}${rest}`;
}

/** Parses a stream of server-sent events: yields {event, data, id}. */
async function* parseEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = {};
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data !== undefined) yield event;
        event = {};
      } else if (!line.startsWith(":")) {
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        event[name] = name === "data" && event.data !== undefined ? `${event.data}\n${text}` : text;
      }
    }
  }
}

/**
 * Follows a stream of events until the signal: connects again when it breaks, with what `headers`
 * returns then, and rests while the tab is hidden, as a browser has six connections to a server.
 */
export async function follow(path, { query, headers = () => ({}), signal, onevent, onlive }) {
  let pause = 1000;
  while (!signal.aborted) {
    if (document.hidden) {
      await new Promise((resolve) => {
        document.addEventListener("visibilitychange", resolve, { once: true, signal });
        signal.addEventListener("abort", resolve, { once: true });
      });
      continue;
    }
    const connection = new AbortController();
    const hide = () => document.hidden && connection.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const response = await send("GET", path, {
        query, headers: headers(), accept: "text/event-stream",
        signal: AbortSignal.any([signal, connection.signal]),
      });
      onlive(true);
      pause = 1000;
      for await (const event of parseEvents(response.body))
        onevent(event.event ?? "message", JSON.parse(event.data));
    } catch (error) {
      if (error instanceof Problem && [401, 403, 404, 422].includes(error.status)) {
        onlive(false);
        throw error;
      }
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (signal.aborted) return;
    onlive(false);
    if (!document.hidden) await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, 15000);
  }
}

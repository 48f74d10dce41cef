/**
 * A client of lbfgsd for browsers and Node.js 18 or newer: one ES module, without dependencies.
 *
 * Vectors travel as octets. Every request is repeated until it is answered or a deadline passes,
 * which is safe: a result is identified by the number of its evaluation, and every POST has an
 * Idempotency-Key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/** @typedef {Float64Array | Float32Array} Floats */
/** @typedef {ArrayLike<number>} Numbers */
/** @typedef {"float64" | "float32"} DType */

/**
 * When a request is sent again. All are seconds.
 * @typedef {object} Retry
 * @property {number} [deadline] what a call may take with all its attempts: 300
 * @property {number} [firstDeadline] the same until the server has answered once, so that a wrong
 *   address is noticed at once: 0
 * @property {number} [pauseInitial] the first pause between attempts: 0.1; pauses double ...
 * @property {number} [pauseMax] ... up to this: 10
 */

/**
 * @typedef {object} Settings
 * @property {string} [url] in a browser the page's origin; else $LBFGSD_URL, or
 *   http://127.0.0.1:8080
 * @property {string} [token] a bearer token; $LBFGSD_TOKEN
 * @property {number} [timeout] seconds without progress after which an attempt is given up: 60
 * @property {Retry} [retry]
 * @property {typeof fetch} [fetch] what sends the requests, in place of the global function
 */

/**
 * @typedef {object} NewSession
 * @property {DType} [dtype]
 * @property {string} [name]
 * @property {Record<string, string>} [labels]
 * @property {Record<string, unknown>} [options] the server's, such as `mode` and `max_iter`
 * @property {number | Numbers} [lower] a bound for all numbers or one for each; infinite for none
 * @property {number | Numbers} [upper]
 * @property {number | Numbers} [l1] weights of the term sum(l1 * |x|)
 */

/**
 * The end of a step. What the server does not give is undefined.
 * @typedef {object} StepResult
 * @property {string} reason "gradient_tolerance", ...
 * @property {boolean} converged
 * @property {number} iterations
 * @property {number} evaluations
 * @property {number} [lossBefore]
 * @property {number} [loss]
 * @property {number} [gradientNormInf]
 * @property {number} [projectedGradientNormInf]
 * @property {number} [activeBounds]
 */

/**
 * The position of a session, and what it waits for.
 * @typedef {object} Turn
 * @property {string} session
 * @property {"idle" | "evaluating" | "awaiting_hook"} state
 * @property {DType} dtype
 * @property {number} step
 * @property {number} [evaluation] the number to tell, if an evaluation is pending
 * @property {Floats} x the trial point, or the parameters if no evaluation is pending
 * @property {boolean} replayed whether the request had been carried out before
 * @property {StepResult} [result] of the newest step that has ended
 * @property {string} [etag]
 */

/**
 * @typedef {object} Minimum
 * @property {Floats} x
 * @property {StepResult} result
 * @property {string} session it stays on the server until `deleteSession`
 * @property {number} calls calls of the function
 */

/**
 * The loss and its gradient at x. An exception `Infeasible` says that the loss is undefined there.
 * @typedef {(x: Floats) => Value | Promise<Value>} Objective
 * @typedef {{loss: number, gradient: Numbers}} Value
 */

/**
 * @typedef {object} SessionEvent
 * @property {string} event "evaluation", "step" or "expiring"
 * @property {number} [id] the number of the evaluation
 * @property {any} data
 */

const OCTETS = "application/octet-stream";
const JSON_TYPE = "application/json";
const RETRIED = new Set([408, 429, 502, 503, 504]);
/** With these the request may have been carried out all the same. */
const LOST_REPLIES = new Set([408, 502, 504]);
/** From so many numbers on a session is created with zeros, and its parameters follow as octets. */
const CREATED_WITH_ZEROS_FROM = 16384;
/** The server allows a body a second for so many bytes. */
const BODY_BYTES_PER_SECOND = 65536;
/** A stream of events is broken after such a silence: the server sends a comment every 15 s. */
const EVENT_SILENCE_SECONDS = 60;
const HOOK_POLL_SECONDS = { first: 0.02, longest: 1 };

/** Options of `minimize`: the tolerances and budgets of SciPy's L-BFGS-B. */
export const MINIMIZE_OPTIONS = Object.freeze({
    mode: "robust",
    lr: 1,
    history_size: 100,
    tolerance_grad: 1e-5,
    tolerance_loss_relative: 2.2e-9,
    tolerance_change: 0,
    max_iter: 15000,
    max_eval: 15000,
});

/** The base of this module's errors. */
export class LbfgsdError extends Error {
    /** @param {string} message @param {ErrorOptions} [options] */
    constructor(message, options) {
        super(message, options);
        this.name = new.target.name;
    }
}

/** No answer until the deadline. */
export class ConnectionFailed extends LbfgsdError {}

/** The reply is not one of lbfgsd's. */
export class BadReply extends LbfgsdError {}

/** Thrown by an objective where the loss is undefined ("mesh inverted"). */
export class Infeasible extends LbfgsdError {}

/** The server refused the request. */
export class ProblemError extends LbfgsdError {
    /** @param {number} status @param {any} document */
    constructor(status, document) {
        const text = (/** @type {string} */ key) =>
            typeof document?.[key] === "string" ? document[key] : "";
        const said = [text("title"), text("detail")].filter(Boolean).join(". ");
        super(said ? `status ${status}: ${said}` : `status ${status}`);
        this.status = status;
        /** "/problems/invalid-request"; empty if the reply was no problem document. */
        this.type = text("type");
        this.title = text("title");
        this.detail = text("detail");
        /** @type {{field: string, reason: string}[]} the fields that are wrong */
        this.errors = Array.isArray(document?.errors) ? document.errors : [];
        /** The whole document (RFC 9457). */
        this.problem = document;
    }
}

/**
 * @typedef {object} Request
 * @property {string} method
 * @property {string} path
 * @property {string} [accept]
 * @property {string} [type] the media type of the body
 * @property {string | Uint8Array} [body]
 * @property {Record<string, string>} [headers]
 * @property {number} [wait] seconds that the server may delay its reply on purpose
 */

/** @typedef {{headers: Headers, bytes: Uint8Array}} Reply */

/** A client of one server. Calls of it may overlap. */
export class Client {
    /** @param {Settings} [settings] */
    constructor(settings = {}) {
        const { url, token, timeout = 60, retry = {}, ...rest } = settings;
        for (const key of Object.keys(rest))
            if (key !== "fetch") throw new TypeError(`there is no setting ${key}`);
        /** @type {any} */
        const scope = globalThis;
        const environment = scope.process?.env ?? {};
        const origin = scope.document ? scope.location?.origin : undefined;
        this.url = (url || origin || environment.LBFGSD_URL || "http://127.0.0.1:8080").replace(
            /\/+$/, "");
        /** @private */
        this._token = token || environment.LBFGSD_TOKEN;
        /** @private */
        this._timeout = timeout;
        /** @private @type {Required<Retry>} */
        this._retry = {
            deadline: 300, firstDeadline: 0, pauseInitial: 0.1, pauseMax: 10, ...retry,
        };
        /** @private */
        this._fetch = settings.fetch ?? globalThis.fetch.bind(globalThis);
        /** @private */
        this._hasAnswered = false;
    }

    // Sessions

    /**
     * Creates a session, and returns its identifier.
     * @param {Numbers} x0
     * @param {NewSession} [session]
     * @returns {Promise<string>}
     */
    async createSession(x0, session = {}) {
        const { lower, upper, l1, dtype = "float64", ...rest } = session;
        const isLong = x0.length >= CREATED_WITH_ZEROS_FROM;
        const bounds = Object.entries({ lower, upper, l1 })
            .filter(([, values]) => values !== undefined)
            .map(([key, values]) => `,"${key}":${numbersText(/** @type {any} */ (values))}`);
        const values = isLong ? '"fill":0' : `"values":${numbersText(x0)}`;
        const params = `[{"shape":[${x0.length}],${values}${bounds.join("")}}]`;
        // The numbers are written apart, since JSON.stringify loses the sign of -0.
        const head = JSON.stringify({ dtype, ...rest }).slice(0, -1);
        const body = `${head},"params":${params}}`;
        const reply = await this._exchange({
            method: "POST", path: "/v1/sessions", type: JSON_TYPE, body });
        const id = createdId(reply);
        if (!isLong) return id;
        try {
            await this.setParameters(id, x0, dtype);
        } catch (error) {
            if (error instanceof ProblemError) await this.deleteSession(id);
            throw error;
        }
        return id;
    }

    /**
     * Returns a session's document, without its vectors.
     * @param {string} session
     */
    getSession(session) {
        return this.request("GET", sessionPath(session));
    }

    /**
     * Deletes a session for good.
     * @param {string} session
     */
    async deleteSession(session) {
        await this._exchange({ method: "DELETE", path: sessionPath(session) });
    }

    // Steps and evaluations

    /**
     * Begins a step.
     * @param {string} session
     */
    beginStep(session) {
        return this._turn(post(sessionPath(session, "steps")));
    }

    /**
     * Returns the turn. Of an idle session the server does so when a step begins, or after `wait`
     * seconds (at most 30).
     * @param {string} session
     * @param {{wait?: number}} options
     */
    ask(session, { wait = 0 } = {}) {
        const headers = wait > 0 ? { Prefer: `wait=${Math.max(1, Math.round(wait))}` } : undefined;
        const path = sessionPath(session, "evaluation");
        return this._turn({ method: "GET", path, headers, wait });
    }

    /**
     * Tells loss and gradient at the point of a turn, and returns the next turn.
     * @param {Turn} turn
     * @param {number} loss
     * @param {Numbers} gradient
     */
    tell(turn, loss, gradient) {
        const path = `${resultPath(turn)}?loss=${encodeURIComponent(numberName(loss))}`;
        const body = octets(gradient, turn.dtype);
        return this._turn({ method: "PUT", path, type: OCTETS, body });
    }

    /**
     * Tells that the point of a turn can't be evaluated; the line search then contracts.
     * @param {Turn} turn
     * @param {string} reason
     */
    tellFailed(turn, reason) {
        const body = JSON.stringify({ failed: reason });
        return this._turn({ method: "PUT", path: resultPath(turn), type: JSON_TYPE, body });
    }

    /**
     * Ends the running step at the best point that it has seen.
     * @param {string} session
     */
    stop(session) {
        return this._turn(post(sessionPath(session, "stop")));
    }

    // Parameters and checkpoints

    /**
     * @param {string} session
     * @returns {Promise<Floats>}
     */
    async getParameters(session) {
        const path = sessionPath(session, "params");
        return vector(await this._exchange({ method: "GET", path, accept: OCTETS }));
    }

    /**
     * Replaces the parameters, between steps.
     * @param {string} session
     * @param {Numbers} x
     * @param {DType} [dtype] the session's
     */
    async setParameters(session, x, dtype = "float64") {
        const path = sessionPath(session, "params");
        const body = octets(x, dtype);
        await this._exchange({ method: "PUT", path, accept: OCTETS, type: OCTETS, body });
    }

    /**
     * Saves the session as it is, even in the middle of a line search. Returns the checkpoint's
     * identifier.
     * @param {string} session
     * @param {string} [name]
     */
    async createCheckpoint(session, name) {
        const body = JSON.stringify({ name });
        return createdId(await this._exchange(post(sessionPath(session, "checkpoints"), body)));
    }

    /**
     * Returns the session to a checkpoint.
     * @param {string} session
     * @param {string} checkpoint
     */
    restore(session, checkpoint) {
        return this._turn(post(sessionPath(session, "checkpoints", checkpoint, "restore")));
    }

    /**
     * Creates a session that starts from a checkpoint, and returns its identifier.
     * @param {string} session
     * @param {string} checkpoint
     */
    async fork(session, checkpoint) {
        const path = sessionPath(session, "checkpoints", checkpoint, "fork");
        return createdId(await this._exchange(post(path)));
    }

    // Anything else

    /**
     * Any other operation: sends a document, if there is one, and returns that of the reply.
     * @param {string} method
     * @param {string} path such as "/v1/limits"
     * @param {unknown} [document]
     * @returns {Promise<any>}
     */
    async request(method, path, document) {
        const body = document === undefined ? undefined : JSON.stringify(document);
        const type = body === undefined ? undefined : JSON_TYPE;
        const reply = await this._exchange({ method, path, type, body });
        return reply.bytes.length === 0 ? undefined : parsed(reply);
    }

    /**
     * Watches a session: its evaluations and the ends of its steps, as they happen. Connects again
     * by itself, without missing an evaluation. Breaking out of the loop ends it.
     * @param {string} session
     * @param {{lastEventId?: number, signal?: AbortSignal}} options begins after an evaluation
     * @returns {AsyncGenerator<SessionEvent, void, undefined>}
     */
    async *events(session, { lastEventId, signal } = {}) {
        const path = sessionPath(session, "events");
        let last = lastEventId;
        while (!signal?.aborted) {
            const headers = last === undefined ? undefined : { "Last-Event-ID": String(last) };
            const request = { method: "GET", path, accept: "text/event-stream", headers };
            const { response, timer } = await this._answered(request, signal);
            try {
                for await (const event of eventsOf(response, timer)) {
                    last = event.id ?? last;
                    yield event;
                }
            } catch (error) {
                if (error instanceof LbfgsdError) throw error;
            } finally {
                timer.abort();
            }
            if (!signal?.aborted) await sleep(this._retry.pauseInitial);
        }
    }

    // Requests

    /**
     * @private
     * @param {Request} request
     * @returns {Promise<Turn>}
     */
    async _turn(request) {
        const reply = await this._exchange({ ...request, accept: OCTETS });
        return readTurn(reply);
    }

    /**
     * Sends a request until it is answered, and receives the body.
     * @private
     * @param {Request} request
     * @returns {Promise<Reply>}
     */
    async _exchange(request) {
        const { response, bytes = new Uint8Array() } = await this._answered(request);
        return { headers: response.headers, bytes };
    }

    /**
     * Sends a request until it is answered. The body of a stream of events is left unread.
     * @private
     * @param {Request} request
     * @param {AbortSignal} [signal] ends the waiting
     */
    async _answered(request, signal) {
        const headers = this._headers(request);
        const began = now();
        let lost = false;
        for (let attempt = 0; ; attempt++) {
            let answer, failure;
            try {
                answer = await this._attempt(request, headers, signal);
            } catch (error) {
                if (error instanceof LbfgsdError || signal?.aborted) throw error;
                failure = error;
            }
            if (answer) {
                this._hasAnswered = true;
                const { status } = answer.response;
                if (status === 404 && lost && request.method === "DELETE") return answer;
                if (status < 300) return answer;
                if (!RETRIED.has(status)) {
                    if (status >= 400) throw refusal(status, answer.bytes);
                    throw new BadReply(`${request.method} ${request.path}: status ${status}`);
                }
            }
            lost ||= !answer || LOST_REPLIES.has(answer.response.status);
            const least = answer ? retryAfterSeconds(answer.response.headers) : 0;
            const pause = this._pause(attempt, now() - began, least);
            if (pause === undefined) {
                if (answer) throw refusal(answer.response.status, answer.bytes);
                const how = this._hasAnswered ? "answers no more" : "does not answer";
                throw new ConnectionFailed(`${this.url} ${how}: ${explained(failure)}`, {
                    cause: failure });
            }
            await sleep(pause);
        }
    }

    /**
     * @private
     * @param {Request} request
     * @param {Record<string, string>} headers
     * @param {AbortSignal} [signal]
     */
    async _attempt(request, headers, signal) {
        const length = request.body?.length ?? 0;
        const seconds = this._timeout + (request.wait ?? 0);
        const timer = new ProgressTimer(seconds + length / BODY_BYTES_PER_SECOND);
        const abort = () => timer.abort();
        signal?.addEventListener("abort", abort);
        try {
            const response = await this._fetch(this.url + request.path, {
                method: request.method,
                headers,
                body: /** @type {any} */ (request.body),
                signal: timer.signal,
                redirect: "manual",
                cache: "no-store",
            });
            timer.restart(seconds);
            if (request.accept === "text/event-stream" && response.ok) {
                timer.restart(EVENT_SILENCE_SECONDS);
                return { response, timer };
            }
            const bytes = await received(response, timer, seconds);
            timer.end();
            return { response, timer, bytes };
        } catch (error) {
            timer.end();
            throw error;
        }
    }

    /**
     * @private
     * @param {Request} request
     */
    _headers(request) {
        /** @type {Record<string, string>} */
        const headers = { Accept: request.accept ?? JSON_TYPE, ...request.headers };
        if (request.type) headers["Content-Type"] = request.type;
        if (this._token) headers.Authorization = `Bearer ${this._token}`;
        if (request.method === "POST") headers["Idempotency-Key"] = randomKey();
        return headers;
    }

    /**
     * The pause before the next attempt; undefined if the deadline passes before it.
     * @private
     * @param {number} attempt
     * @param {number} elapsed
     * @param {number} least what the server asks for
     */
    _pause(attempt, elapsed, least) {
        const { deadline, firstDeadline, pauseInitial, pauseMax } = this._retry;
        const end = this._hasAnswered ? deadline : Math.min(deadline, firstDeadline);
        const left = end - elapsed;
        if (left <= 0 || least > left) return undefined;
        const longest = Math.min(pauseMax, pauseInitial * 2 ** Math.min(attempt, 60));
        // Shortened at random by up to a half, so that clients don't come back all at once.
        return Math.min(left, least + longest * (0.5 + 0.5 * Math.random()));
    }
}

/**
 * Creates a session, and runs a step of it to its end.
 *
 * An exception of the function stops the step at its best point and goes to the caller, with the
 * session as its property `lbfgsdSession`, if it is an object.
 * @param {Objective} fun
 * @param {Numbers} x0
 * @param {NewSession & {client?: Client}} settings what `createSession` takes; `options` are
 *   added to MINIMIZE_OPTIONS
 * @returns {Promise<Minimum>}
 */
export async function minimize(fun, x0, { client = new Client(), options, ...session } = {}) {
    const all = { ...MINIMIZE_OPTIONS, ...options };
    const id = await client.createSession(x0, { ...session, options: all });
    return run(client, fun, await client.beginStep(id));
}

/**
 * The same for a session that exists: takes up its step, or begins one.
 * @param {Objective} fun
 * @param {string} session
 * @param {{client?: Client}} settings
 * @returns {Promise<Minimum>}
 */
export async function resume(fun, session, { client = new Client() } = {}) {
    const turn = await client.ask(session);
    return run(client, fun, turn.state === "idle" ? await client.beginStep(session) : turn);
}

/**
 * @param {Client} client
 * @param {Objective} fun
 * @param {Turn} first
 * @returns {Promise<Minimum>}
 */
async function run(client, fun, first) {
    let turn = first;
    let calls = 0;
    let pause = HOOK_POLL_SECONDS.first;
    while (turn.state !== "idle") {
        if (turn.state === "awaiting_hook") {
            await sleep(pause);
            pause = Math.min(2 * pause, HOOK_POLL_SECONDS.longest);
            turn = await client.ask(turn.session);
            continue;
        }
        calls++;
        let told;
        try {
            told = await fun(turn.x.slice());
        } catch (error) {
            if (!(error instanceof Infeasible)) {
                await stopInterrupted(client, turn.session, error);
                throw error;
            }
            told = error;
        }
        turn = await answered(client, turn, told);
    }
    if (!turn.result) throw new BadReply("an idle turn after a step has no result");
    return { x: turn.x, result: turn.result, session: turn.session, calls };
}

/**
 * @param {Client} client
 * @param {Turn} turn
 * @param {Value | Infeasible} told
 */
async function answered(client, turn, told) {
    try {
        if (told instanceof Infeasible)
            return await client.tellFailed(turn, told.message || "infeasible");
        return await client.tell(turn, told.loss, told.gradient);
    } catch (error) {
        const closed = ["/problems/already-told", "/problems/evaluation-closed"];
        if (!(error instanceof ProblemError && closed.includes(error.type))) throw error;
        // Another client works on this session too, or has stopped it.
        return client.ask(turn.session);
    }
}

/**
 * @param {Client} client
 * @param {string} session
 * @param {unknown} error
 */
async function stopInterrupted(client, session, error) {
    try {
        await client.stop(session);
    } catch (failure) {
        // The exception of the function is what the caller has to know.
        if (!(failure instanceof LbfgsdError)) throw failure;
    }
    if (error instanceof Error) Object.assign(error, { lbfgsdSession: session });
}

// Paths and requests

/** @param {string} session @param {string[]} rest */
function sessionPath(session, ...rest) {
    return ["/v1/sessions", ...[session, ...rest].map(encodeURIComponent)].join("/");
}

/** @param {Turn} turn */
function resultPath(turn) {
    if (turn.evaluation === undefined) throw new TypeError("the turn has no pending evaluation");
    return sessionPath(turn.session, "evaluations", String(turn.evaluation), "result");
}

/** @param {string} path @returns {Request} */
function post(path, body = "{}") {
    return { method: "POST", path, type: JSON_TYPE, body };
}

/** A key that no other request has: 128 random bits. */
function randomKey() {
    const words = new Uint32Array(4);
    // Node.js 18 has no global crypto. A key has to be unique, and need not be secret.
    if (globalThis.crypto?.getRandomValues) globalThis.crypto.getRandomValues(words);
    else words.forEach((_, i) => { words[i] = Math.floor(Math.random() * 2 ** 32); });
    return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}

// Numbers

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * A number as the server reads it.
 * @param {number} value
 */
function numberName(value) {
    return Object.is(value, -0) ? "-0.0" : String(value);
}

/**
 * Numbers as JSON, where those that are not finite are strings.
 * @param {number | Numbers} values
 */
function numbersText(values) {
    const text = (/** @type {number} */ value) =>
        Number.isFinite(value) ? numberName(value) : `"${value}"`;
    if (typeof values === "number") return text(values);
    return `[${Array.from(values, (value) => text(value === null ? NaN : value)).join(",")}]`;
}

/**
 * A vector as octets: in the memory where it is, if it has that type.
 * @param {Numbers} values
 * @param {DType} dtype
 */
function octets(values, dtype) {
    const kind = dtype === "float32" ? Float32Array : Float64Array;
    const array = values instanceof kind ? values : kind.from(values);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    return isLittleEndian ? bytes : swapped(bytes.slice(), array.BYTES_PER_ELEMENT);
}

/** @param {Uint8Array} bytes @param {number} width */
function swapped(bytes, width) {
    for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
    return bytes;
}

// Replies

/**
 * The vector of a reply.
 * @param {Reply} reply
 * @returns {Floats}
 */
function vector({ headers, bytes }) {
    const type = headers.get("Content-Type")?.split(";")[0].trim();
    const dtype = headers.get("Lbfgsd-Dtype") ?? "";
    const width = { float32: 4, float64: 8 }[dtype];
    if (type !== OCTETS || width === undefined) throw new BadReply("the reply has no octets");
    if (bytes.length !== Number(headers.get("Lbfgsd-Count")) * width)
        throw new BadReply(`${bytes.length} octets for ${headers.get("Lbfgsd-Count")} numbers`);
    const native = isLittleEndian ? bytes : swapped(bytes, width);
    const { buffer, byteOffset } = native.byteOffset % width === 0 ? native : native.slice();
    const count = bytes.length / width;
    return width === 4
        ? new Float32Array(/** @type {ArrayBuffer} */ (buffer), byteOffset, count)
        : new Float64Array(/** @type {ArrayBuffer} */ (buffer), byteOffset, count);
}

/** @param {Reply} reply @returns {Turn} */
function readTurn(reply) {
    const { headers } = reply;
    const text = (/** @type {string} */ name) => headers.get(`Lbfgsd-${name}`) ?? undefined;
    const number = (/** @type {string} */ name) =>
        text(name) === undefined ? undefined : Number(text(name));
    const x = vector(reply);
    const session = text("Session");
    const state = text("State");
    if (!session || (state !== "idle" && state !== "evaluating" && state !== "awaiting_hook"))
        throw new BadReply("the reply is not a turn");
    const reason = text("Reason");
    return {
        session,
        state,
        dtype: x instanceof Float32Array ? "float32" : "float64",
        step: number("Step") ?? 0,
        evaluation: number("Evaluation"),
        x,
        replayed: headers.get("Idempotent-Replayed") === "true",
        etag: headers.get("ETag") ?? undefined,
        result: reason === undefined ? undefined : {
            reason,
            converged: text("Converged") === "true",
            iterations: number("Iterations") ?? 0,
            evaluations: number("Evaluations") ?? 0,
            lossBefore: number("Loss-Before"),
            loss: number("Loss"),
            gradientNormInf: number("Gradient-Norm-Inf"),
            projectedGradientNormInf: number("Projected-Gradient-Norm-Inf"),
            activeBounds: number("Active-Bounds"),
        },
    };
}

/**
 * The identifier of what a request has created.
 * @param {Reply} reply
 */
function createdId({ headers }) {
    const id = headers.get("Location")?.split("/").pop();
    if (!id) throw new BadReply("the reply has no Location");
    return id;
}

/** @param {Pick<Reply, "bytes">} reply */
function parsed({ bytes }) {
    const text = new TextDecoder().decode(bytes);
    try {
        return JSON.parse(text);
    } catch (error) {
        throw new BadReply(`not JSON: ${text.slice(0, 100)}`, { cause: error });
    }
}

/** @param {number} status @param {Uint8Array} [bytes] */
function refusal(status, bytes = new Uint8Array()) {
    let document;
    try {
        document = parsed({ bytes });
    } catch {
        document = undefined;
    }
    return new ProblemError(status, document);
}

/** @param {Headers} headers */
function retryAfterSeconds(headers) {
    const text = headers.get("Retry-After") ?? "";
    if (/^\d+$/.test(text)) return Number(text);
    const when = Date.parse(text);
    return Number.isNaN(when) ? 0 : Math.max(0, (when - Date.now()) / 1000);
}

/**
 * Receives a body, in one array.
 * @param {Response} response
 * @param {ProgressTimer} timer
 * @param {number} seconds
 */
async function received(response, timer, seconds) {
    if (!response.body) return new Uint8Array();
    const pieces = [];
    let length = 0;
    const reader = response.body.getReader();
    for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        timer.restart(seconds);
        pieces.push(value);
        length += value.length;
    }
    if (pieces.length === 1) return pieces[0];
    const bytes = new Uint8Array(length);
    let end = 0;
    for (const piece of pieces) {
        bytes.set(piece, end);
        end += piece.length;
    }
    return bytes;
}

/**
 * @param {Response} response
 * @param {ProgressTimer} timer
 * @returns {AsyncGenerator<SessionEvent, void, undefined>}
 */
async function* eventsOf(response, timer) {
    if (!response.body) return;
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        timer.restart(EVENT_SILENCE_SECONDS);
        rest += decoder.decode(value, { stream: true });
        const blocks = rest.split(/\r?\n\r?\n/);
        rest = blocks.pop() ?? "";
        for (const block of blocks) {
            const event = parsedEvent(block);
            if (event) yield event;
        }
    }
}

/** @param {string} block @returns {SessionEvent | undefined} */
function parsedEvent(block) {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const line of block.split(/\r?\n/)) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trim();
    }
    if (fields.event === undefined || fields.data === undefined) return undefined;
    const id = fields.id === undefined ? undefined : Number(fields.id);
    const data = parsed({ bytes: new TextEncoder().encode(fields.data) });
    return { event: fields.event, id, data };
}

// Time

function now() {
    return performance.now() / 1000;
}

/** @param {number} seconds */
function sleep(seconds) {
    return new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
}

/** Aborts an attempt that makes no progress. */
class ProgressTimer {
    /** @param {number} seconds */
    constructor(seconds) {
        this._controller = new AbortController();
        this.signal = this._controller.signal;
        this.restart(seconds);
    }

    /** @param {number} seconds */
    restart(seconds) {
        clearTimeout(this._timeout);
        // Longer ones overflow.
        const milliseconds = Math.min(seconds * 1000, 2 ** 31 - 1);
        this._timeout = setTimeout(() => this.abort(), milliseconds);
    }

    end() {
        clearTimeout(this._timeout);
    }

    abort() {
        this.end();
        this._controller.abort(new Error("no progress within the timeout"));
    }
}

/** @param {any} failure */
function explained(failure) {
    const messages = [failure?.message ?? String(failure), failure?.cause?.message];
    return messages.filter(Boolean).join(": ");
}

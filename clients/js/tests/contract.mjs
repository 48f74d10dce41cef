// Carries out the commands of the contract suite, Tests/integration/clients, one a line. The answer
// is a line of fields: "ok" or "error", then KEY=VALUE. Vectors are the hexadecimal digits of
// doubles, 16 each; "-" stands for what is not there.

import { createInterface } from "node:readline";

import {
    BadReply, Client, ConnectionFailed, Infeasible, ProblemError, minimize, resume,
} from "../lbfgsd.js";

/** @type {Client} */
let client;
/** @type {import("../lbfgsd.js").Turn} */
let turn;

/** @param {string} word */
const orNone = (word) => (word === "-" ? undefined : word);

/** @param {string} word @returns {Float64Array} */
function vector(word) {
    const bytes = new DataView(Uint8Array.from(Buffer.from(word, "hex")).buffer);
    return Float64Array.from({ length: word.length / 16 }, (_, i) => bytes.getFloat64(8 * i));
}

/** @param {string} word */
const vectorOrNone = (word) => (word === "-" ? undefined : vector(word));

/** @param {ArrayLike<number>} values */
function digits(values) {
    const bytes = new DataView(new ArrayBuffer(8 * values.length));
    for (let i = 0; i < values.length; i++) bytes.setFloat64(8 * i, values[i]);
    return Buffer.from(bytes.buffer).toString("hex");
}

/** @param {import("../lbfgsd.js").StepResult} result */
function resultFields(result) {
    return [
        `reason=${result.reason}`, `converged=${Number(result.converged)}`,
        `iterations=${result.iterations}`, `evaluations=${result.evaluations}`,
        `loss=${digits([result.loss ?? NaN])}`,
    ];
}

/** @param {import("../lbfgsd.js").Turn} newest */
function turnFields(newest) {
    turn = newest;
    return [
        `session=${turn.session}`, `state=${turn.state}`, `step=${turn.step}`,
        `evaluation=${turn.evaluation ?? 0}`, `dtype=${turn.dtype}`,
        `replayed=${Number(turn.replayed)}`,
        ...(turn.result ? resultFields(turn.result) : []), `x=${digits(turn.x)}`,
    ];
}

/** @param {import("../lbfgsd.js").Minimum} found */
function minimumFields({ session, calls, result, x }) {
    return [`session=${session}`, `calls=${calls}`, ...resultFields(result), `x=${digits(x)}`];
}

/**
 * The chained Rosenbrock function.
 * @param {ArrayLike<number>} x
 */
function rosenbrock(x) {
    const gradient = new Float64Array(x.length);
    let loss = 0;
    for (let i = 0; i + 1 < x.length; i++) {
        const rise = x[i + 1] - x[i] * x[i];
        const rest = 1 - x[i];
        loss += 100 * (rise * rise) + rest * rest;
        gradient[i] += -400 * x[i] * rise - 2 * rest;
        gradient[i + 1] += 200 * rise;
    }
    return { loss, gradient };
}

/** @param {string} session @param {string} number */
async function askedAs(session, number) {
    return { ...(await client.ask(session)), evaluation: Number(number) };
}

/** @type {Record<string, (...words: string[]) => Promise<string[]> | string[]>} */
const commands = {
    open(url, token, socket, deadline, firstDeadline, timeout) {
        const unixSocket = orNone(socket);
        const retry = {
            deadline: Number(deadline), firstDeadline: Number(firstDeadline),
            pauseInitial: 0.02, pauseMax: 0.2,
        };
        client = new Client({
            url, token: orNone(token), retry, timeout: Number(timeout),
            ...(unixSocket ? { unixSocket } : {}),
        });
        return [];
    },
    async create(dtype, name, label, options, lower, upper, x) {
        const [key, value] = label.split(":");
        const session = await client.createSession(vector(x), {
            dtype: /** @type {import("../lbfgsd.js").DType} */ (dtype),
            name: orNone(name),
            labels: value === undefined ? undefined : { [key]: value },
            options: options === "-" ? undefined : JSON.parse(options),
            lower: vectorOrNone(lower),
            upper: vectorOrNone(upper),
        });
        return [`session=${session}`];
    },
    begin: async (session) => turnFields(await client.beginStep(session)),
    ask: async (session) => turnFields(await client.ask(session)),
    stop: async (session) => turnFields(await client.stop(session)),
    async next() {
        const { loss, gradient } = rosenbrock(turn.x);
        return turnFields(await client.tell(turn, loss, gradient));
    },
    async tell(session, number, loss, gradient) {
        const asked = await askedAs(session, number);
        return turnFields(await client.tell(asked, vector(loss)[0], vector(gradient)));
    },
    async fail(session, number, ...reason) {
        const asked = await askedAs(session, number);
        return turnFields(await client.tellFailed(asked, reason.join(" ")));
    },
    async delete(session) {
        await client.deleteSession(session);
        return [`deleted=${session}`];
    },
    checkpoint: async (session) =>
        [`checkpoint=${await client.createCheckpoint(session, 'a "name"')}`],
    restore: async (session, checkpoint) => turnFields(await client.restore(session, checkpoint)),
    fork: async (session, checkpoint) => [`session=${await client.fork(session, checkpoint)}`],
    async parameters(session, n, dtype, x) {
        if (x !== undefined)
            await client.setParameters(
                session, vector(x), /** @type {import("../lbfgsd.js").DType} */ (dtype));
        return [`x=${digits(await client.getParameters(session))}`];
    },
    async minimize(dtype, limit, lower, upper, x) {
        const most = limit === "-" ? Infinity : vector(limit)[0];
        const fun = (/** @type {import("../lbfgsd.js").Floats} */ point) => {
            if (point[0] > most) throw new Infeasible("infeasible");
            return rosenbrock(point);
        };
        return minimumFields(await minimize(fun, vector(x), {
            client,
            dtype: /** @type {import("../lbfgsd.js").DType} */ (dtype),
            lower: vectorOrNone(lower),
            upper: vectorOrNone(upper),
        }));
    },
    resume: async (session) => minimumFields(await resume(rosenbrock, session, { client })),
    async interrupt(most, x) {
        let calls = 0;
        const fun = (/** @type {import("../lbfgsd.js").Floats} */ point) => {
            if (++calls > Number(most)) throw new RangeError("enough");
            return rosenbrock(point);
        };
        try {
            await minimize(fun, vector(x), { client });
        } catch (/** @type {any} */ error) {
            if (!(error instanceof RangeError)) throw error;
            const session = /** @type {any} */ (error).lbfgsdSession;
            return [`calls=${calls}`, ...turnFields(await client.ask(session))];
        }
        return [];
    },
    async request(method, path) {
        return [`reply=${JSON.stringify(await client.request(method, path))}`];
    },
};

/** @param {unknown} error */
function errorFields(error) {
    const problem = error instanceof ProblemError ? error : undefined;
    const kind = problem ? "problem" : error instanceof ConnectionFailed ? "connection"
        : error instanceof BadReply ? "bad-reply" : "invalid";
    const message = error instanceof Error ? error.message : String(error);
    return [
        `kind=${kind}`, `status=${problem?.status ?? 0}`, `type=${problem?.type ?? ""}`,
        `field=${problem?.errors[0]?.field ?? ""}`, `message=${message.replaceAll("\n", " ")}`,
    ];
}

for await (const line of createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(" ");
    let answer;
    try {
        answer = ["ok", ...(await commands[command](...words))];
    } catch (error) {
        answer = ["error", ...errorFields(error)];
    }
    process.stdout.write(`${answer.join(" ")}\n`);
}

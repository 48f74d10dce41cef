// Minimises Rosenbrock's function by the client that openapi-generator makes with typescript-fetch.
//
//     node with_fetch.js URL N
//
// Prints a JSON document with what was found.

import {
    Configuration,
    EvaluationsApi,
    Mode,
    Problem,
    ResponseError,
    SessionsApi,
    State,
    StepsApi,
    Turn,
} from './client';

declare const process: { argv: string[]; exit(status: number): void };

function rosenbrock(x: number[]): [number, number[]] {
    const gradient = x.map(() => 0);
    let loss = 0;
    for (let i = 0; i + 1 < x.length; i++) {
        const rise = x[i + 1] - x[i] * x[i];
        const rest = 1 - x[i];
        loss += 100 * rise * rise + rest * rest;
        gradient[i] += -400 * x[i] * rise - 2 * rest;
        gradient[i + 1] += 200 * rise;
    }
    return [loss, gradient];
}

async function main(url: string, count: number): Promise<void> {
    const configuration = new Configuration({ basePath: url });
    const sessions = new SessionsApi(configuration);
    const steps = new StepsApi(configuration);
    const evaluations = new EvaluationsApi(configuration);
    const x0 = Array.from({ length: count }, (_, i) => (i % 2 === 0 ? -1.2 : 1));
    const { id: session } = await sessions.createSession({
        createRequest: {
            x0,
            options: { mode: Mode.Robust, toleranceGrad: 1e-8 },
            labels: { from: 'fetch' },
        },
    });
    let turn: Turn;
    let told = 0;
    do {
        turn = await steps.beginStep({ session });
        while (turn.state === State.Evaluating && turn.evaluation) {
            const { number, x } = turn.evaluation;
            const [loss, gradient] = rosenbrock(x);
            const tellRequest = { loss, gradient };
            turn = await evaluations.tellResult({ session, evaluation: number, tellRequest });
            told += 1;
        }
    } while (['max_iterations', 'max_evaluations'].includes(turn.result?.reason ?? ''));
    let problem = 'none';
    try {
        await sessions.getSession({ session: 's' + '0'.repeat(20) });
    } catch (error) {
        if (!(error instanceof ResponseError)) throw error;
        problem = ((await error.response.json()) as Problem).type;
    }
    console.log(
        JSON.stringify({
            session,
            x: turn.x,
            loss: turn.result?.loss,
            reason: turn.result?.reason,
            converged: turn.result?.converged,
            evaluations: told,
            problem,
        })
    );
}

main(process.argv[2], Number(process.argv[3])).catch((error) => {
    console.error(error);
    process.exit(1);
});

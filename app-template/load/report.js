// Asks for reports of all that was sold, which a worker makes, and waits for them.

import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { shop, token } from './shop.js';
import { get, insist, steady } from './target.js';

export const setup = shop;
export const options = steady({ http_req_duration: ['p(95)<200'], checks: ['rate>0.999'] }, 0.1);

const PERIOD = { from: '2026-01-01', to: '2126-12-31' };

export default function ({ run }) {
    const key = { 'idempotency-key': `${run}-${exec.scenario.iterationInTest}` };
    const accepted = insist('/reports', '/reports', PERIOD, [202], key);
    if (!accepted) return;
    const asked = () => get(accepted.json('status'), '/jobs/{id}', [200], token(accepted));
    let job = asked();
    for (let patience = 60; patience > 0 && !(job.status === 200 && job.json('state') === 'done'); patience -= 1) {
        sleep(Number(job.headers['Retry-After'] || 1));
        job = asked();
    }
    const made = check(job, { 'is made': (answer) => answer.status === 200 && answer.json('state') === 'done' });
    if (made) get(job.json('result.report'), '/reports/{id}');
}

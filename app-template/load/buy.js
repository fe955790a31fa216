// Buys: a session, a payment, and the same payment again from a customer who lost the answer.

import { check } from 'k6';
import exec from 'k6/execution';
import { post, steady } from './target.js';

export const options = steady({ http_req_duration: ['p(95)<200'], checks: ['rate>0.999'] }, 0.5);

// Keys of one run do not meet those of another.
export function setup() {
    return { run: Date.now().toString(36) };
}

export default function ({ run }) {
    post('/visits', '/visits', {}, [200]);
    const key = { 'idempotency-key': `${run}-${exec.scenario.iterationInTest}` };
    const payment = { amount: 1 + Math.floor(Math.random() * 10000), currency: 'EUR' };
    const first = post('/payments', '/payments', payment, [201], key);
    if (first.status !== 201 || Math.random() > 0.1) return;
    const again = post('/payments', '/payments', payment, [201], key);
    check(again, { 'is paid once': (answer) => answer.body === first.body });
}

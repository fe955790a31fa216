// Buys: a session, an order that its customer is shown at once, and the same order again from one who lost the answer.

import { check } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { anyOf, shop, token } from './shop.js';
import { get, insist, post, steady } from './target.js';

// `run` compares it with the books of the shop and of the payment provider.
const placed = new Counter('placed');

export const setup = shop;
export const options = steady({ http_req_duration: ['p(95)<200'], checks: ['rate>0.999'] }, 0.5);

export default function ({ run, accounts, products }) {
    post('/visits', '/visits', {}, [200]);
    const key = { 'idempotency-key': `${run}-${exec.scenario.iterationInTest}` };
    const wanted = new Set(Array.from({ length: 3 }, () => anyOf(products)));
    const items = Array.from(wanted, (product) => ({ product, quantity: 1 + Math.floor(Math.random() * 3) }));
    const order = { account: anyOf(accounts), items };
    const first = insist('/orders', '/orders', order, [201, 202], key);
    if (!first) return;
    placed.add(1);
    const id = first.json('id');
    const shown = get(`/orders/${id}`, '/orders/{id}', [200], token(first));
    check(shown, { 'is shown to whoever placed it': (answer) => answer.status === 503 || answer.json('id') === id });
    if (Math.random() > 0.1) return;
    const again = insist('/orders', '/orders', order, [201, 202], key);
    check(again, { 'is placed once': (answer) => answer && answer.json('id') === id });
}

// What there is to buy and who buys it: made once before the load begins.

import { fail } from 'k6';
import { get, post } from './target.js';

const PRODUCTS = 200;
const ACCOUNTS = 20;
export const CATEGORIES = ['coffee', 'tea', 'cocoa', 'juice', 'water'];

export const anyOf = (list) => list[Math.floor(Math.random() * list.length)];

// The header by which a client is shown what it has written.
export const token = (answer) => ({ 'x-consistency-token': answer.headers['X-Consistency-Token'] });

// Keys and addresses of one run do not meet those of another.
export function shop() {
    const run = Date.now().toString(36);
    const made = (path, body) => {
        const answer = post(path, path, body, [201]);
        if (answer.status !== 201) fail(`POST ${path}: ${answer.status} ${answer.body}`);
        return answer.json('id');
    };
    const known = get('/products?limit=100', '/products').json('products').map((product) => product.id);
    const missing = Array.from({ length: known.length < 100 ? PRODUCTS : 0 }, (_, number) =>
        made('/products', { name: `Nr. ${number}`, category: CATEGORIES[number % 5], priceCents: 100 + number }));
    const accounts = Array.from({ length: ACCOUNTS }, (_, number) =>
        made('/accounts', { email: `${run}-${number}@example.org`, name: `Customer ${number}` }));
    return { run, accounts, products: known.concat(missing) };
}

// Looks around: pages of products, one of them, and the same again, of which nothing new is sent.

import { check } from 'k6';
import { CATEGORIES, anyOf, shop } from './shop.js';
import { get, steady } from './target.js';

export const setup = shop;
export const options = steady({ http_req_duration: ['p(95)<100'], checks: ['rate>0.999'] });

export default function ({ products }) {
    get('/', '/');
    const path = `/products?category=${anyOf(CATEGORIES)}`;
    const page = get(path, '/products');
    if (page.status !== 200) return;
    get(`${path}&after=${page.json('nextAfter')}`, '/products');
    const again = get(path, '/products', [200, 304], { 'if-none-match': page.headers.Etag });
    check(again, { 'is known': (answer) => answer.status === 304 && !answer.body });
    get(`/products/${anyOf(products)}`, '/products/{id}');
    get('/payments/methods', '/payments/methods');
}

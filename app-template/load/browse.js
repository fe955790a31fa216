// Looks around: answers that a browser has already are not sent again.

import { check } from 'k6';
import { get, steady } from './target.js';

export const options = steady({ http_req_duration: ['p(95)<100'], checks: ['rate>0.999'] });

export default function () {
    get('/', '/');
    const full = get('/payments/methods', '/payments/methods');
    if (full.status !== 200) return;
    const again = get('/payments/methods', '/payments/methods', [200, 304], { 'if-none-match': full.headers.Etag });
    check(again, { 'is known': (answer) => answer.status === 304 && !answer.body });
}

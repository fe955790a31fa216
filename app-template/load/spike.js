// Twenty times as much at once: what does not fit is refused at once and in order, and the rest is served.

import { get, sudden } from './target.js';

const limits = { 'http_req_duration{name:/work}': ['p(99)<5000'], 'http_req_duration{name:/}': ['p(95)<500'] };

export const options = sudden(limits, 20);

export default function () {
    get('/work?ms=10', '/work');
    get('/', '/');
}

// Makes reports: few requests that cost a lot of CPU time.

import { get, steady } from './target.js';

export const options = steady({ http_req_duration: ['p(95)<1000'] }, 0.1);

export default function () {
    get('/work?ms=50', '/work');
}

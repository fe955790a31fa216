// A bit of everything for a long time: what leaks or fills up shows.

import buy, { setup } from './buy.js';
import browse from './browse.js';
import report from './report.js';
import { steady } from './target.js';

export { setup };
export const options = steady({ http_req_duration: ['p(99)<1000'], checks: ['rate>0.999'] }, 0.5);

export default function (data) {
    const choice = Math.random();
    if (choice < 0.8) browse(data);
    else if (choice < 0.98) buy(data);
    else report(data);
}

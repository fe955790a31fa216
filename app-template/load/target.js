// Where the load goes, and what counts as a failure.
//
// BASE_URL (http://127.0.0.1:8080), RATE (iterations a second) and SECONDS are read from the environment. With TIMED=no
// only what is right or wrong on any machine counts, however busy it is, and not how long it takes.

import { sleep } from 'k6';
import http from 'k6/http';
import { Rate } from 'k6/metrics';

const base = __ENV.BASE_URL || 'http://127.0.0.1:8080';
const rate = Number(__ENV.RATE || 50);
const seconds = Number(__ENV.SECONDS || 60);

// Neither answered nor refused in order: this must not happen at any load.
const lost = new Rate('lost');
// Refused for want of room, with a time to return. The right answer to more than there is room for.
const shed = new Rate('shed');
// Answered without a dependency.
const fallback = new Rate('fallback');

function judge(response, expected) {
    const mark = response.headers['X-Degraded'];
    shed.add(mark === 'shed');
    fallback.add(mark === 'fallback');
    lost.add(!expected.includes(response.status) && mark !== 'shed');
    return response;
}

// The tag groups the paths of one route.
export function get(path, route, expected = [200], headers = {}) {
    return judge(http.get(base + path, { headers, tags: { name: route } }), expected);
}

export function post(path, route, body, expected, headers = {}) {
    const params = { headers: { 'content-type': 'application/json', ...headers }, tags: { name: route } };
    return judge(http.post(base + path, JSON.stringify(body), params), expected);
}

// The same request until it is answered as asked: a refusal names the time to return, and may come too late to undo
// what was asked for. Nothing if it never is.
export function insist(path, route, body, expected, headers) {
    for (let attempts = 0; attempts < 10; attempts += 1) {
        const answer = post(path, route, body, expected, headers);
        if (expected.includes(answer.status)) return answer;
        sleep(Number(answer.headers['Retry-After'] || 1));
    }
    return undefined;
}

function thresholds(limits) {
    const all = { lost: ['rate<0.001'], ...limits };
    const timed = ([metric]) => /^(http_req_duration|dropped_iterations|fallback)/.test(metric);
    return Object.fromEntries(Object.entries(all).filter((limit) => __ENV.TIMED !== 'no' || !timed(limit)));
}

// So many iterations a second, however long each takes: users do not wait for each other.
export function steady(limits, share = 1) {
    return {
        scenarios: {
            steady: {
                executor: 'constant-arrival-rate',
                rate: Math.ceil(rate * share),
                duration: `${seconds}s`,
                preAllocatedVUs: 50,
                maxVUs: 500,
            },
        },
        thresholds: thresholds({
            dropped_iterations: ['count<1'],
            shed: ['rate<0.01'],
            fallback: ['rate<0.01'],
            ...limits,
        }),
    };
}

// A quarter of the time as usual, then at once `height` times as much for half of it, then as usual again.
export function sudden(limits, height) {
    const stage = (target, part) => ({ target: Math.ceil(target), duration: `${Math.max(1, seconds * part)}s` });
    return {
        scenarios: {
            sudden: {
                executor: 'ramping-arrival-rate',
                startRate: rate,
                preAllocatedVUs: 100,
                maxVUs: 1000,
                stages: [
                    stage(rate, 0.25),
                    stage(rate * height, 0),
                    stage(rate * height, 0.5),
                    stage(rate, 0),
                    stage(rate, 0.25),
                ],
            },
        },
        thresholds: thresholds(limits),
    };
}

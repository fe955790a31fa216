"""Writes ville.json: e-values of the PyPI package `ville` 0.1.0, which the judge of a canary must agree with.

    python3 -m venv venv && venv/bin/pip install ville==0.1.0
    venv/bin/python write_ville.py > ville.json

`ville` has no comparison of two revisions. What fits is its Beta-binomial mixture, `BernoulliTest`: each bad request
is the canary's or not, and under the null with the canary's share of the requests. A Beta prior with whole parameters
is a polynomial, so a mixture over the nodes of Gauss and Legendre is the same integral, exactly.
"""

import json

import numpy as np
import ville

NODES = 64
rng = np.random.default_rng(20261201)
nodes, weights = np.polynomial.legendre.leggauss(NODES)
nodes, weights = (nodes + 1) / 2, weights / 2
density = {(1, 1): lambda p: np.ones_like(p), (2, 3): lambda p: 12 * p * (1 - p) ** 2}


def stream(p, length):
    return (rng.random(length) < p).astype(int)


def bernoulli():
    """One share of the requests, a mixture over all ratios."""
    for share, truth, prior in [(0.5, 0.5, (1, 1)), (0.1, 0.35, (1, 1)), (0.25, 0.2, (2, 3)), (0.05, 0.9, (2, 3))]:
        of_canary = stream(truth, 60)
        test = ville.BernoulliTest(p0=share, alpha=0.01, prior=prior).fit(of_canary)
        yield {
            "share": share,
            "mixture": [
                [float(p * (1 - share) / (share * (1 - p))), float(w * density[prior](p))]
                for p, w in zip(nodes, weights)
            ],
            "of_canary": of_canary.tolist(),
            "ln_e": np.log(test.e_values_).tolist(),
            "stops": test.stopping_time(0.01),
        }


def starts():
    """The same, with a mixture over the slices at which evidence starts: 0, 4, 8 and so on, for one late regression."""
    share, every = 0.25, 4
    of_canary = np.concatenate([stream(0.25, 40), stream(0.8, 24)])
    ln_e = []
    for t in range(1, len(of_canary) + 1):
        begun = list(range(0, t, every))
        e = [ville.BernoulliTest(p0=share).fit(of_canary[s:t]).e_values_[-1] for s in begun]
        start_weights = [0.5] + [1 / 128] * (len(begun) - 1)
        # What has not started is 1.
        e, start_weights = e + [1.0], start_weights + [1 - sum(start_weights)]
        ln_e.append(float(np.log(ville.evalues.combine(e, "mean", weights=start_weights))))
    mixture = [[float(p * (1 - share) / (share * (1 - p))), float(w)] for p, w in zip(nodes, weights)]
    return {"share": share, "every": every, "mixture": mixture, "of_canary": of_canary.tolist(), "ln_e": ln_e}


def products():
    """Shares that vary, a bound above 1 and several bad requests a slice: e-values of single requests, combined."""
    ratios, prior, bound = [1.1, 2.0, 5.0, 30.0], [0.1, 0.4, 0.3, 0.2], 1.5
    slices = []
    for _ in range(40):
        canary, stable = int(rng.integers(1, 200)), int(rng.integers(100, 900))
        slices.append([canary, int(rng.poisson(0.03 * canary)), stable, int(rng.poisson(0.01 * stable))])
    single = {ratio: [] for ratio in ratios}
    ln_e = []
    for canary, canary_bad, stable, stable_bad in slices:
        for ratio in ratios:
            p0, p1 = (r * canary / (r * canary + stable) for r in (bound, ratio * bound))
            single[ratio] += [p1 / p0] * canary_bad + [(1 - p1) / (1 - p0)] * stable_bad
        e = [ville.evalues.combine(single[ratio] + [1.0], "product") for ratio in ratios]
        ln_e.append(float(np.log(ville.evalues.combine(e, "mean", weights=prior))))
    return {"bound": bound, "mixture": list(zip(ratios, prior)), "slices": slices, "ln_e": ln_e}


print(json.dumps({"ville": ville.__version__, "bernoulli": list(bernoulli()), "starts": starts(), "products": products()}))

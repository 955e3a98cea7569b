"""
An inference router: model requests are spread over GPU workers so that a model stays where it is
loaded, and nobody gets more than there is.

    python examples/router/router.py --requests 5000 --plot router.svg

A worker is a GPU server: what it has is slots for requests at the same time (as CPU, 1,000 each) and
GPU memory for their caches (as memory, in MiB). A request goes where its model's name hashes to,
round from there while that is full (``key=``), so that a model is loaded on few workers; with
``--policy spread`` one sees what that is worth. Workers here only sleep; put an HTTP call into
``Worker.run`` and a server's handler around ``Router.handle``, and this is the router.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from slotwise import Constraints, Engine, Policy, PreparedRequest, SlotwiseError, TimedOut, WorkerSpec


@dataclass(frozen=True)
class Model:
    """What one request to a model needs, and how long it takes."""

    name: str
    cache: int  # MiB of GPU memory
    seconds: float
    gpus: Tuple[str, ...]  # types that will do, the preferred ones first


MODELS = [
    Model("llama-70b", 6_000, 0.012, ("H100",)),
    Model("llama-8b", 1_500, 0.004, ("L40S", "H100")),
    Model("mixtral", 4_000, 0.008, ("H100", "L40S")),
    Model("qwen-7b", 1_500, 0.004, ("L40S",)),
    Model("whisper", 800, 0.003, ("L40S", "H100")),
    Model("embed", 300, 0.001, ("L40S", "H100")),
    Model("rerank", 300, 0.001, ("L40S", "H100")),
    Model("sdxl", 5_000, 0.015, ("H100", "L40S")),
]


@dataclass
class Worker:
    """A GPU server that keeps the models that it used last."""

    name: str
    gpu: str
    room: int = 3  # models
    load_seconds: float = 0.01
    loaded: OrderedDict[str, None] = field(default_factory=OrderedDict)
    served: Counter[str] = field(default_factory=Counter)
    loads: int = 0

    async def run(self, model: Model) -> None:
        """Serves one request; this is where a real router would call its worker."""
        cold = model.name not in self.loaded
        self.loaded[model.name] = None
        self.loaded.move_to_end(model.name)
        if cold:
            self.loads += 1
            if len(self.loaded) > self.room:
                self.loaded.popitem(last=False)
            await asyncio.sleep(self.load_seconds)
        await asyncio.sleep(model.seconds)
        self.served[model.name] += 1


class Router:
    """Holds the truth about every worker's free capacity, in this process."""

    def __init__(self, workers: List[Worker], policy: Policy = Policy.AFFINITY) -> None:
        # Requests share a worker's GPUs, so they ask for none and must be let onto GPU workers.
        self.engine = Engine(policy=policy, gpu_separation=False, max_workers=4096)
        self.workers: Dict[int, Worker] = {}
        for worker in workers:
            big = worker.gpu == "H100"
            ref = self.engine.add_worker(
                WorkerSpec(
                    worker.name,
                    cpu=(16 if big else 8) * 1_000,
                    memory=60_000 if big else 30_000,
                    pool=worker.gpu,
                )
            )
            self.workers[ref] = worker
        self.prepared: Dict[str, PreparedRequest] = {m.name: self._prepare(m) for m in MODELS}
        self.latencies: List[float] = []
        self.waited = self.dropped = 0

    def _prepare(self, model: Model) -> PreparedRequest:
        """What every request of a model has in common, filled in once."""
        selector = self.engine.selector(Constraints(pools=model.gpus))
        return self.engine.prepare(None, 1_000, model.cache, key=model.name, selector=selector)

    async def handle(self, model: Model, timeout: float) -> Optional[Worker]:
        """Serves one request; None where nobody had room in time."""
        started = time.monotonic()
        prepared = self.prepared[model.name]
        ticket = prepared.try_reserve()
        if ticket is not None:
            ref = prepared.worker
        else:
            self.waited += 1
            r = prepared.request
            try:
                held = await self.engine.reserve_async(
                    None, r.cpu, r.memory, key=r.key, selector=r.selector, timeout=timeout
                )
            except TimedOut:
                self.dropped += 1
                return None
            ticket, ref = held.ticket, held.worker
        try:
            worker = self.workers[ref]
            await worker.run(model)
        finally:
            prepared.release_ticket(ticket)
        self.latencies.append(time.monotonic() - started)
        return worker

    async def take_out(self, worker: Worker) -> None:
        """Empties a worker, waits until it is, and takes it out."""
        info = self.engine.drain(worker.name)
        while info.held.cpu:
            await asyncio.sleep(0.001)
            info = self.engine.worker(worker.name)
        lost = self.engine.remove_worker(worker.name)
        assert not lost, "nothing was held any more"


def cluster(count: int) -> List[Worker]:
    """A third of them large."""
    return [
        Worker(f"h100-{k}", "H100", room=4) if k % 3 == 0 else Worker(f"l40s-{k}", "L40S", room=3)
        for k in range(count)
    ]


async def drive(router: Router, requests: int, rate: float, drain: bool, seed: int) -> float:
    """Requests at random times, a few models far more often than the rest."""
    rng = random.Random(seed)
    weights = [1 / (k + 1) for k in range(len(MODELS))]
    models = rng.sample(MODELS, len(MODELS))
    running: List[asyncio.Task[Optional[Worker]]] = []
    started, due = time.monotonic(), 0.0
    for number in range(requests):
        due += rng.expovariate(rate)
        ahead = started + due - time.monotonic()
        if ahead > 0.001:
            await asyncio.sleep(ahead)
        elif number % 64 == 0:
            await asyncio.sleep(0)
        (model,) = rng.choices(models, weights)
        running.append(asyncio.ensure_future(router.handle(model, timeout=5)))
        if drain and number == requests // 2:
            await router.take_out(next(iter(router.workers.values())))
    await asyncio.gather(*running)
    return time.monotonic() - started


def report(router: Router, seconds: float) -> str:
    """Who served what, and how well."""
    workers = [*router.workers.values()]
    served = sum(sum(w.served.values()) for w in workers)
    loads = sum(w.loads for w in workers)
    lines = [f"{'worker':10}" + "".join(f"{m.name:>10}" for m in MODELS) + f"{'loads':>8}"]
    for w in workers:
        lines.append(f"{w.name:10}" + "".join(f"{w.served[m.name]:10}" for m in MODELS) + f"{w.loads:8}")
    late = sorted(router.latencies) or [0.0]
    lines += [
        "",
        f"served {served} in {seconds:.2f} s, dropped {router.dropped}, waited for room {router.waited}",
        f"loaded a model {loads} times, {100 * loads / max(served, 1):.1f} of 100 requests were cold",
        f"latency: median {1000 * statistics.median(late):.1f} ms, "
        f"99 % {1000 * late[int(0.99 * (len(late) - 1))]:.1f} ms",
    ]
    return "\n".join(lines)


def plot(router: Router, path: str) -> bool:
    """Who served what, as bars; the ending of the path says which format."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    workers = [*router.workers.values()]
    figure, axes = pyplot.subplots(figsize=(10, 0.35 * len(workers) + 1.8))
    left = [0] * len(workers)
    for model, color in zip(MODELS, pyplot.get_cmap("tab10").colors):
        counts = [w.served[model.name] for w in workers]
        axes.barh([w.name for w in workers], counts, left=left, label=model.name, color=color)
        left = [a + b for a, b in zip(left, counts)]
    axes.invert_yaxis()
    axes.set_xlabel("requests served")
    axes.set_title("Who served what")
    axes.legend(ncols=len(MODELS) // 2, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return True


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=2000, help="requests a second")
    parser.add_argument("--policy", choices=[p.name.lower() for p in Policy if p], default="affinity")
    parser.add_argument("--drain", action="store_true", help="take a worker out half-way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", help="an SVG or PNG of who served what (needs matplotlib)")
    options = parser.parse_args(arguments)
    if options.workers < 3 or options.requests < 1 or options.rate <= 0:
        parser.error("at least 3 workers, 1 request and a rate above 0 are needed")
    router = Router(cluster(options.workers), Policy[options.policy.upper()])
    try:
        seconds = asyncio.run(drive(router, options.requests, options.rate, options.drain, options.seed))
    except SlotwiseError as error:
        print(f"router: {error}", file=sys.stderr)
        return 1
    print(report(router, seconds))
    audit = router.engine.audit()
    print(f"nothing oversold: {audit.ok}; still held: {audit.reservations}")
    if options.plot:
        if plot(router, options.plot):
            print(f"plot: {options.plot}")
        else:
            print("no plot: matplotlib is not installed", file=sys.stderr)
    return 0 if audit.ok and not audit.reservations else 1


if __name__ == "__main__":
    sys.exit(main())

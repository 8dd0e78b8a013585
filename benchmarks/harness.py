"""What the tool itself costs: start of --help, what the clock adds to a first chunk, and tables of 10,000 trials.

Run: python benchmarks/harness.py. Each figure is a ratio or a difference of two things in one run, except the two with a stated bound.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from xttsbench import clock, runner, store, table
from xttsbench.record import Chunk, Record
from xttsbench.settings import Settings, call_arguments
from xttsbench.spec import EngineConfig, Text, Trial
from xttsbench.stats import median_interval

TRIAL = Trial(
    engine="stock",
    config=EngineConfig(model="nano"),
    settings=Settings(stream_chunk_size=1, overlap_wav_len=64, top_k=1),
    text=Text("short", "en", "The birch canoe slid on the smooth planks."),
)


def help_s(n: int) -> tuple[float, float]:
    """Return the median seconds of `--help`, and of a bare interpreter beside it."""
    took: dict[str, list[float]] = {"help": [], "bare": []}
    for _ in range(n):
        for name, argv in (("help", ["-m", "xttsbench", "--help"]), ("bare", ["-c", ""])):
            start = time.perf_counter()
            subprocess.run([sys.executable, *argv], check=True, capture_output=True)
            took[name].append(time.perf_counter() - start)
    return float(np.median(took["help"])), float(np.median(took["bare"]))


def overhead_s(n: int) -> tuple[float, tuple[float, float, float]]:
    """Return the median ttfc of a bare loop over inference_stream, and of (harness - bare) in pairs with its interval."""
    session = runner.open_session(TRIAL.config)
    xtts, voice = session.loaded.xtts, session.voice(TRIAL)
    arguments = call_arguments("stock", TRIAL.settings)

    def bare() -> float:
        session.seed(0)
        start = time.perf_counter()
        stream = xtts.inference_stream(
            TRIAL.text.text, "en", voice.gpt_cond_latent, voice.speaker_embedding, **arguments
        )
        clock.to_host(next(stream))
        took = time.perf_counter() - start
        stream.close()
        return took

    def harness() -> float:
        session.seed(0)
        return clock.listen(lambda: itertools.islice(session.stream(TRIAL), 1)).chunks[0].arrival_s

    for _ in range(5):
        bare(), harness()
    pairs = []
    for i in range(n):
        first, second = (bare, harness) if i % 2 else (harness, bare)
        one, two = first(), second()
        pairs.append((one, two) if i % 2 else (two, one))
    both = np.array(pairs)
    return float(np.median(both[:, 0])), median_interval(both[:, 1] - both[:, 0])


def tables_s(n: int) -> float:
    """Return the seconds from a stored run of `n` trials of 20 chunks to its trials table."""
    chunks = tuple(Chunk(0.1 + 0.05 * k, 0.1 + 0.05 * k, 22272, 0, 20 * (k + 1)) for k in range(20))
    record = Record(trial=TRIAL, chunks=chunks, end_s=1.2, first_audible_sample=2400)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / store.TRIALS
        with open(path, "w") as f:
            for i in range(n):
                f.write(replace(record, trial=replace(TRIAL, repeat=i)).to_json() + "\n")
        start = time.perf_counter()
        assert len(table.trials(store.read(Path(folder)))) == n
        return time.perf_counter() - start


def main() -> None:
    """Print the three figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=300)
    options.add_argument("--trials", type=int, default=10_000)
    options.add_argument("--starts", type=int, default=10)
    args = options.parse_args()
    helped, bare = help_s(args.starts)
    print(f"--help: {helped:.3f} s (a bare interpreter {bare:.3f} s), n={args.starts}; bound 0.5 s")
    print(f"tables: {tables_s(args.trials):.2f} s for {args.trials:,} stored trials of 20 chunks; bound 5 s per 10,000")
    ttfc, (added, low, high) = overhead_s(args.pairs)
    print(
        f"harness: adds {added * 1000:+.3f} ms [{low * 1000:+.3f}, {high * 1000:+.3f}] to a ttfc of {ttfc * 1000:.1f} ms ({added / ttfc:+.2%}), "
        f"median of {args.pairs} pairs; bound 1 % or 0.2 ms"
    )


if __name__ == "__main__":
    main()

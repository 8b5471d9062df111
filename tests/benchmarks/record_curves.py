"""Record whole learning curves of small Linformers on `digits`: a table that searchers run on.

    python -m tests.benchmarks.record_curves [--configurations 160] [--seeds 0 1]

One process and one thread, without Ray. The configurations are the first of a scrambled Sobol
sequence over the space of `objectives/digits_space.py`. The table is written whole after every
training, and a training that it has is not made again.
"""

import argparse
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import qmc

from spaces.space import Choice, Domain, Integer, Value
from tests.benchmarks.objectives.digits_space import EPOCHS, IMAGE_SIZE, SPACE
from trainables.config import TrialConfig
from trainables.data import locate
from trainables.team import Team
from trainables.training.learner import Learner

TABLE = Path(__file__).parent / "data" / "digits_curves.parquet"
SEQUENCE_SEED = 0


def value_at(domain: Domain, share: float) -> Value:
    """The value that lies a share from 0 to 1 of the way through a domain."""
    if isinstance(domain, Choice):
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    if isinstance(domain, Integer):
        return domain.low + domain.step * min(int(share * domain.size), int(domain.size) - 1)
    low, high = float(domain.low), float(domain.high)  # type: ignore[attr-defined]
    if domain.log:  # type: ignore[attr-defined]
        return float(f"{low * (high / low) ** share:.4g}")
    return float(f"{low + share * (high - low):.4g}")


def configurations(number: int) -> list[dict[str, Value]]:
    """The first ones of the sequence; more of them begin with fewer of them."""
    sequence = qmc.Sobol(len(SPACE.params), seed=SEQUENCE_SEED)
    points = sequence.random_base2(math.ceil(math.log2(max(2, number))))[:number]
    return [
        {name: value_at(d, float(x)) for (name, d), x in zip(SPACE.params.items(), p, strict=True)}
        for p in points
    ]


def curve(params: dict[str, Value], seed: int, data: Path) -> list[dict[str, Any]]:
    """The metrics of every epoch; where a loss is no number, what follows is missing."""
    task = {"model": SPACE.model, "data": str(data), "image_size": IMAGE_SIZE, "epochs": EPOCHS}
    config = TrialConfig.from_flat({**SPACE.fixed, **params, **task, "seed": seed})
    learner = Learner(config, Team.current())
    lines: list[dict[str, Any]] = []
    for epoch in range(1, EPOCHS + 1):
        start = time.perf_counter()
        score, _ = learner.train(epoch)
        metrics = {**score.metrics("train"), **learner.score("valid").metrics("valid")}
        kept = {k: metrics[k] for k in ("train_loss", "train_top1", "valid_loss", "valid_top1")}
        if not all(math.isfinite(value) for value in kept.values()):
            break
        lines.append({"epoch": epoch, **kept, "seconds": time.perf_counter() - start})
    return lines


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The whole table, small numbers in single precision."""
    table = pa.Table.from_pylist(list(rows))
    kinds = {pa.int64(): pa.int16(), pa.float64(): pa.float32()}
    exact = set(SPACE.params)  # a configuration is found by its values
    fields = [
        pa.field(f.name, f.type if f.name in exact else kinds.get(f.type, f.type))
        for f in table.schema
    ]
    beside = path.with_suffix(".partial")
    pq.write_table(table.cast(pa.schema(fields)), beside, compression="zstd")
    beside.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=160)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--data-home", type=Path, default=Path("sweeps/data"))
    parser.add_argument("--out", type=Path, default=TABLE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    data = locate("digits", given.data_home).path.resolve()
    rows = pq.read_table(given.out).to_pylist() if given.out.exists() else []
    have = {(row["configuration"], row["seed"]) for row in rows}
    for seed in given.seeds:
        for number, params in enumerate(configurations(given.configurations)):
            if (number, seed) in have:
                continue
            lines = curve(params, seed, data)
            rows += [{"configuration": number, "seed": seed, **params, **line} for line in lines]
            write(rows, given.out)
            last = lines[-1] if lines else {"valid_top1": math.nan, "seconds": math.nan}
            print(
                f"{number} seed {seed} {params}: {len(lines)} epochs, valid top-1 "
                f"{last['valid_top1']:.3f}, {last['seconds']:.2f} s an epoch",
                flush=True,
            )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()

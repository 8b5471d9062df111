"""Throughput, latency and memory of seven models: by our measure, as the paper does, as timm does.

All at one batch size (latency: one image), in fp32 and, beside it, bf16. "Which Transformer to
Favor" times passes that are each waited for by CUDA events and takes the mean, without a warm-up
(section A.3 and its code). Compiling happens in one process a model and batch size, all at once;
then each is timed while the others wait.
"""

import argparse
import multiprocessing
import os
import time
from functools import partial
from multiprocessing.connection import Connection
from statistics import fmean
from typing import Any

import torch

from tests.benchmarks.gpu_claims.claim import Scale, Tell
from tests.benchmarks.timm_benchmark import Bench
from trainables import models
from trainables.efficiency.arithmetic import arithmetic
from trainables.efficiency.execution import Setting
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.memory import inference_peak, training_peak
from trainables.efficiency.subjects import Subject, parse
from trainables.efficiency.timing import durations_s, latency_s, rotating

MODELS = ("ViT-T/16", "ViT-S/16", "DeiT-S/16", "Swin-Ti-W/7/4", "XCiT-S-12/16", "Linformer-S/16")
MODELS += ("ResNet50",)
TOY = Subject("vit", {"depth": 1, "dim": 32, "heads": 2, "patch": 16}, 64, 10, "tiny ViT")
BATCH, MEMORY_BATCH, SECONDS = 256, 64, 0.7
PAPERS_PASSES = 20  # the paper's are 1,000
COMPILING_S = 90  # for all models at once


def subjects(scale: Scale) -> list[Subject]:
    return [TOY] if scale.toy else parse(MODELS)


def sizes(scale: Scale) -> tuple[int, float, int]:
    """Batch size, seconds of a timing, the paper's passes."""
    return (4, 0.05, 3) if scale.toy else (BATCH, SECONDS, PAPERS_PASSES)


def bench(subject: Subject, scale: Scale, precision: str) -> Bench:
    batch, seconds, _ = sizes(scale)
    passes = (2, 4) if scale.toy else (10, 40)
    given = argparse.Namespace(target=scale.device, precision=precision, batch=batch)
    given.warm_ups, given.passes = passes
    made = Bench(subject, given)
    made.seconds = seconds
    return made


def papers(one: Bench, passes: int) -> float:
    """Images a second as the paper measures them."""
    images = torch.randn(one.batch_size, 3, *[one.inputs.size] * 2, device=one.device)
    times = []
    with arithmetic(one.device, one.precision) as autocast, torch.no_grad():
        for _ in range(passes):
            if one.device.type == "cuda":
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
            began = time.perf_counter()
            with autocast():
                one.model(images)
            if one.device.type == "cuda":
                end.record()
                torch.cuda.synchronize(one.device)
                times.append(start.elapsed_time(end) / 1e3)
            else:
                times.append(time.perf_counter() - began)
    return one.batch_size / fmean(times)


def captured(one: Bench, seconds: float) -> float:
    """Images a second by CUDA graph."""
    setting = Setting("cuda_graph", one.precision)
    with rotating(one.model, one.inputs, setting, one.batch_size) as forward:
        durations = durations_s(forward, one.device, seconds, apart=False)
    return one.batch_size / sorted(durations)[len(durations) // 2]


def throughput(subject: Subject, scale: Scale, tell: Tell) -> None:
    _, seconds, passes = sizes(scale)
    for precision in ("fp32", "bf16"):
        one = bench(subject, scale, precision)
        ways = {"ours, eager": one.ours}
        if scale.device.type == "cuda":
            ways["ours, CUDA graph"] = partial(captured, one, seconds)
        if precision == "fp32":
            ways["the paper's"] = partial(papers, one, passes)
            ways["timm's"] = one.timm
        rates = {way: measured() for way, measured in ways.items()}
        told = (f"{way} {rate:,.0f}" for way, rate in rates.items())
        tell(f"{subject.label}, {precision}, images/s", "; ".join(told), images_per_s=rates)


def latency(subject: Subject, scale: Scale, tell: Tell) -> None:
    _, seconds, _ = sizes(scale)
    one = bench(subject, scale, "fp32")
    modes = ("eager", "cuda_graph") if scale.device.type == "cuda" else ("eager",)
    found = {mode: latency_s(one.model, one.inputs, Setting(mode), seconds / 2) for mode in modes}
    told = (f"{mode} {1e3 * q.median:.3f} (p99 {1e3 * q.p99:.3f})" for mode, q in found.items())
    figures: dict[str, Any] = {mode: q._asdict() for mode, q in found.items()}
    tell(f"{subject.label}, latency, ms", "; ".join(told), latency_s=figures)


def memory(subject: Subject, scale: Scale, tell: Tell) -> None:
    one = bench(subject, scale, "fp32")
    batch = 2 if scale.toy else MEMORY_BATCH
    found = {"inference": inference_peak(one.model, one.inputs, batch, Setting())}
    found["training"] = training_peak(one.model, one.inputs, batch, torch.optim.Adam)
    told = (
        f"{use} {peak.allocated_bytes / 2**20:,.0f}"
        + (f" ({peak.reserved_bytes / 2**20:,.0f} reserved)" if peak.reserved_bytes else "")
        for use, peak in found.items()
    )
    figures = {use: peak._asdict() for use, peak in found.items()}
    tell(f"{subject.label}, memory at batch {batch}, MiB", "; ".join(told), bytes=figures)


def serve(number: int, batch: int, scale: Scale, pipe: Connection) -> None:
    """Compile, say so, wait for the word, time; in a process of its own."""
    subject = subjects(scale)[number]
    torch.manual_seed(0)
    shape = {"image_size": subject.image_size, "num_classes": subject.num_classes}
    model = models.build(subject.model, subject.params, **shape).eval().to(scale.device)
    inputs = Inputs(3, subject.image_size, scale.device, torch.float32)
    began = time.perf_counter()
    try:
        with rotating(model, inputs, Setting("compile"), batch) as forward:
            pipe.send(time.perf_counter() - began)
            pipe.recv()
            seconds = sizes(scale)[1]
            durations = durations_s(forward, scale.device, seconds, apart=batch == 1)
        pipe.send(sorted(durations)[len(durations) // 2])
    except Exception as error:  # noqa: BLE001 - a model that cannot be compiled is one row
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])


def compiled(scale: Scale, tell: Tell) -> None:
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # there is a process for each already
    context, asked, processes = multiprocessing.get_context("spawn"), {}, []
    for number, subject in enumerate(subjects(scale)):
        for batch in (1, sizes(scale)[0]):
            pipe, other = context.Pipe()
            arguments = (number, batch, scale, other)
            processes.append(context.Process(target=serve, args=arguments, daemon=True))
            processes[-1].start()
            asked[subject.label, batch] = pipe
    ends = time.monotonic() + COMPILING_S
    ready: dict[tuple[str, int], float | str] = {
        key: pipe.recv() if pipe.poll(max(0, ends - time.monotonic())) else "was not done in time"
        for key, pipe in asked.items()
    }
    for (label, batch), took in ready.items():
        what = f"{label}, compiled, batch {batch}"
        if isinstance(took, str):
            tell(what, f"failed: {took}")
            continue
        asked[label, batch].send("go")
        median = asked[label, batch].recv()
        if isinstance(median, str):
            tell(what, f"failed: {median}")
            continue
        told = f"{1e3 * median:.3f} ms, {batch / median:,.0f} images/s, compiled in {took:.0f} s"
        tell(what, told, pass_s=median, compile_s=took)
    for process in processes:
        process.kill()


def run(scale: Scale, tell: Tell) -> None:
    for subject in subjects(scale):
        for measured in (throughput, latency, memory):
            try:
                measured(subject, scale, tell)
            except Exception as error:  # noqa: BLE001 - one model is one row
                what = f"{subject.label}, {measured.__name__}"
                tell(what, f"failed: {type(error).__name__}: {error}".splitlines()[0])
    compiled(scale, tell)

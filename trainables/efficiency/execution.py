"""How a model is run while it is measured: forward passes in a mode and precision, training steps.

Precisions are those of `arithmetic`. The modes are `eager`, `compile` (`torch.compile` with its
defaults, for one shape) and `cuda_graph` (one eager pass, captured and replayed).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spaces.space import nearest
from trainables.efficiency.arithmetic import PRECISIONS, Autocast, arithmetic
from trainables.efficiency.unmeasurable import UnmeasurableError
from trainables.shortage import out_of_memory

MODES = ("eager", "compile", "cuda_graph")
_CAPTURE_WARM_UPS = 3  # so that libraries choose their algorithms and allocate before a capture

Forward = Callable[[Tensor], Tensor]
Step = Callable[[Tensor], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """Mode and precision of forward passes, and the precision of training steps."""

    mode: str = "eager"
    precision: str = "fp32"
    training_precision: str = "fp32"

    def __post_init__(self) -> None:
        given = (("mode", MODES), ("precision", PRECISIONS), ("training_precision", PRECISIONS))
        wrong = [
            f"{field} is {value!r}, allowed: {', '.join(allowed)}{nearest(value, list(allowed))}"
            for field, allowed in given
            if (value := getattr(self, field)) not in allowed
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def label(self) -> str:
        named = "WTTF protocol: " if self == WTTF_PROTOCOL else ""
        return f"{named}{self.mode}, {self.precision}, trained in {self.training_precision}"


# "Which Transformer to Favor", Table 1 (AMP) and section A.3; the authors' code evaluates in fp32
WTTF_PROTOCOL = Setting("eager", "fp32", training_precision="fp16")


@contextmanager
def running(model: torch.nn.Module, setting: Setting, images: Tensor) -> Iterator[Forward]:
    """A function from a batch like `images` (B, C, H, W) to the model's logits in evaluation mode.

    For `compile` and `cuda_graph`, the model is run on `images` first and then takes only batches
    of their shape; the next pass overwrites the logits of `cuda_graph`. With `bf16` and `fp16`,
    weights are cast anew in every pass. The block runs in inference mode; afterwards the modes of
    the model's modules and the arithmetic are as before, and compiled code is dropped.

    Raises:
        UnmeasurableError: the device cannot do it, or compiling or capturing failed; says why.
        MemoryError: compiling or capturing ran out of memory.
    """
    if setting.mode == "cuda_graph" and images.device.type != "cuda":
        raise UnmeasurableError(f"CUDA graphs need a CUDA device; this one is {images.device}")
    with (
        arithmetic(images.device, setting.precision) as autocast,
        torch.inference_mode(),
        ExitStack() as undo,
    ):
        for module in model.modules():
            undo.callback(setattr, module, "training", module.training)
        model.eval()
        eager = partial(_pass, model, autocast)
        if setting.mode == "compile":
            torch.compiler.reset()  # after some number of shapes it silently runs eagerly
            undo.callback(torch.compiler.reset)
            yield _compiled(partial(_pass, torch.compile(model, dynamic=False), autocast), images)
        elif setting.mode == "cuda_graph":
            graph = torch.cuda.CUDAGraph()
            undo.callback(graph.reset)
            yield _captured(graph, eager, images)
        else:
            yield eager


@contextmanager
def training(
    model: torch.nn.Module, precision: str, device: torch.device, optimizer: torch.optim.Optimizer
) -> Iterator[Step]:
    """A function that does a training step (forward, backward, optimiser) on a batch (B, C, H, W).

    Steps are always eager, with labels made here. The loss is not scaled, since a scaler could skip
    steps. The weights and buffers are changed, and the model is left in training mode.

    Raises:
        UnmeasurableError: the device has no such precision.
    """

    def step(images: Tensor) -> None:
        optimizer.zero_grad()
        with autocast():
            logits = model(images)
            labels = torch.arange(len(images), device=images.device) % logits.shape[-1]
            loss = cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()

    with arithmetic(device, precision) as autocast, torch.enable_grad():
        model.train()
        yield step
    optimizer.zero_grad()


def graph_breaks() -> int:
    """Graph breaks that `torch.compile` has met in this process, by Dynamo's own counter.

    A place in the code counts each time it is compiled, not each time it is run: blocks that share
    their code count as one.
    """
    from torch._dynamo.utils import counters

    return sum(counters["graph_break"].values())


@contextmanager
def _failure_is_a_reason(step: str) -> Iterator[None]:
    """Report the first cause of an error; a lack of memory is recognised however it is wrapped."""
    try:
        yield
    except Exception as error:
        chain: list[BaseException] = [error]
        while deeper := chain[-1].__cause__ or chain[-1].__context__:
            chain.append(deeper)
        for found in chain:
            if isinstance(found, Exception) and out_of_memory(found):
                raise MemoryError(str(found)) from error
        first = chain[-1]
        message = next(iter(str(first).strip().splitlines()), "")
        raise UnmeasurableError(f"{step} failed: {type(first).__name__}: {message}") from error


def _pass(network: Forward, autocast: Autocast, images: Tensor) -> Tensor:
    with autocast():
        return network(images)


@_failure_is_a_reason("torch.compile")
def _compiled(forward: Forward, images: Tensor) -> Forward:
    forward(images)
    return partial(_of_shape, images.shape, forward)


@_failure_is_a_reason("CUDA graph capture")
def _captured(graph: torch.cuda.CUDAGraph, forward: Forward, images: Tensor) -> Forward:
    static = images.clone()
    with torch.cuda.device(images.device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_CAPTURE_WARM_UPS):
                forward(static)
            with torch.cuda.graph(graph, stream=stream):
                logits = forward(static)
        torch.cuda.current_stream().wait_stream(stream)

    def replay(batch: Tensor) -> Tensor:
        static.copy_(batch)
        graph.replay()
        return logits

    return partial(_of_shape, images.shape, replay)


def _of_shape(shape: torch.Size, forward: Forward, batch: Tensor) -> Tensor:
    if batch.shape != shape:
        raise ValueError(f"prepared for a batch {tuple(shape)}, given {tuple(batch.shape)}")
    return forward(batch)

"""A training step of all variants, forward and backward, beside the CPU's: loss and gradients.

The reference is the CPU in fp32. fp32 on the GPU (no TF32) agrees if its gradients, all parameters
as one vector, are off by at most 1e-3 of their length; bf16 by at most twice what bf16 on the CPU
is off, or 5 %, whichever is more: half precision has an error of its own, and a model that sorts or
hashes its tokens makes jumps of it. Random numbers are drawn on the CPU for both.
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from tests.benchmarks.gpu_claims.claim import Scale, Tell
from tests.benchmarks.zoo_learning import OTHERS, SHELL
from trainables import models
from trainables.efficiency.arithmetic import arithmetic
from trainables.models import auxiliary

BATCH, CLASSES, SIZE = 8, 10, 56
UNDROPPED = {"dropout": 0.0, "emb_dropout": 0.0, "drop_path": 0.0}
NO_FILES = {"vit_base": {"weights": "random"}}
NEAR = {"fp32": 1e-3, "bf16": 0.05}
TOY = ("vit", "sinkhorn", "fastvit")

DRAWN = ("rand", "randn", "randint", "randperm", "rand_like", "randn_like")
DRAWN_IN_PLACE = ("exponential_", "uniform_", "normal_", "bernoulli_")


class DrawnOnCpu(TorchDispatchMode):
    """Random numbers come from the CPU's generator, whatever device they are for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        if name in DRAWN_IN_PLACE:
            drawn = torch.empty(args[0].shape, dtype=args[0].dtype)
            return args[0].copy_(func(drawn, *args[1:], **kwargs))
        device = kwargs.get("device")
        if name in DRAWN and device is not None:
            return func(*args, **{**kwargs, "device": torch.device("cpu")}).to(device)
        return func(*args, **kwargs)


def configuration(name: str) -> tuple[dict[str, Any], int]:
    """Parameters of a small model, nothing dropped by chance, and its image size."""
    known = models.keys(name)
    params = OTHERS.get(name, {key: value for key, value in SHELL.items() if key in known})
    params = {**params, **{key: value for key, value in UNDROPPED.items() if key in known}}
    size = params.pop("image_size", SIZE)
    return params | NO_FILES.get(name, {}), size


def step(name: str, device: torch.device, precision: str) -> tuple[float, torch.Tensor]:
    """Loss and gradient (all parameters as one vector, float64, on the CPU) of the first step."""
    params, size = configuration(name)
    torch.manual_seed(0)
    model = models.build(name, params, image_size=size, num_classes=CLASSES)
    images = torch.randn(BATCH, 3, size, size)
    labels = torch.arange(BATCH) % CLASSES
    model.to(device).train()
    torch.manual_seed(1)
    with arithmetic(device, precision) as autocast, DrawnOnCpu():
        with auxiliary.collected() as beside, autocast():
            logits = model(images.to(device))
        loss = cross_entropy(logits.float(), labels.to(device))
        (loss + sum(beside.values(), start=loss.new_zeros(()))).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return loss.item(), torch.cat([g.detach().flatten().double().cpu() for g in gradients])


def off(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def compare(name: str, device: torch.device, tell: Tell) -> bool:
    """Whether a variant agrees in both precisions."""
    cpu = torch.device("cpu")
    loss, gradient = step(name, cpu, "fp32")
    allowed = dict(NEAR)
    allowed["bf16"] = max(NEAR["bf16"], 2 * off(step(name, cpu, "bf16")[1], gradient))
    agrees = True
    for precision in NEAR:
        its_loss, its_gradient = step(name, device, precision)
        error = off(its_gradient, gradient)
        near = error <= allowed[precision]  # not so for NaN
        agrees &= near
        told = f"loss {its_loss:.5f} (CPU {loss:.5f}), gradients {error:.1e} off"
        result = f"{'agrees' if near else 'DIFFERS'}: {told}, {allowed[precision]:.1e} allowed"
        figures = {"loss": its_loss, "cpu_loss": loss, "allowed": allowed[precision]}
        tell(f"{name}, {precision}", result, gradient_error=error, agrees=near, **figures)
    return agrees


def run(scale: Scale, tell: Tell) -> None:
    names, agreeing = TOY if scale.toy else models.names(), []
    for name in names:
        try:
            agreeing += [name] * compare(name, scale.device, tell)
        except Exception as error:  # noqa: BLE001 - one variant is one row
            tell(name, f"failed: {type(error).__name__}: {str(error).splitlines()[0]}")
    differing = sorted(set(names) - set(agreeing))
    rest = f"; not: {', '.join(differing)}" if differing else ""
    tell("variants that agree", f"{len(agreeing)} of {len(names)}{rest}", agreeing=len(agreeing))

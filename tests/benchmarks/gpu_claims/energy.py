"""Energy an image, utilisation beside the card's peak, and a second process that is noticed."""

import subprocess
import sys
from functools import partial

import torch

from tests.benchmarks.gpu_claims.claim import Scale, Tell
from trainables import models
from trainables.efficiency import count
from trainables.efficiency.energy import energy
from trainables.efficiency.execution import Setting
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.occupancy import OtherLoad, gpu, occupancy
from trainables.efficiency.peaks import peak, utilisation
from trainables.efficiency.subjects import parse
from trainables.efficiency.timing import durations_s, rotating

SUBJECTS = (("ViT-S/16", "bf16"), ("Linformer-S/16", "fp32"))
BATCH = 256
PLANTED = """
import sys, torch
a = torch.randn(4096, 4096, device="cuda")
print("running", flush=True)
while True:
    for _ in range(50):
        b = a @ a
    torch.cuda.synchronize()
"""


def joules(label: str, precision: str, scale: Scale, tell: Tell) -> None:
    (subject,) = parse([label])
    shape = {"image_size": subject.image_size, "num_classes": subject.num_classes}
    model = models.build(subject.model, subject.params, **shape).eval()
    macs = count(model, subject.image_size).gmacs * 1e9
    model.to(scale.device)
    inputs = Inputs(3, subject.image_size, scale.device, torch.float32)
    wait = partial(torch.cuda.synchronize, scale.device)
    passes = rotating(model, inputs, Setting(precision=precision), BATCH)
    with gpu(scale.device) as found, passes as forward:
        spent = energy(forward, BATCH, found, wait)
        durations = durations_s(forward, scale.device, 1.0, apart=False)
    rate = BATCH / sorted(durations)[len(durations) // 2]
    most = peak(torch.cuda.get_device_name(scale.device), precision)
    share = utilisation(macs, rate, most and most.flops_per_s)
    told = "no peak is known" if share is None else f"{100 * share:.1f} % of the card's peak"
    tell(
        f"{label}, {precision}",
        f"{spent.energy_joules:.4f} J an image above idle, {spent.watts:.0f} W "
        f"({spent.idle_watts:.0f} W idle), {rate:,.0f} images/s, {told}",
        **spent._asdict(),
        utilisation=share,
    )


def planted(scale: Scale, tell: Tell) -> None:
    """A process that multiplies on the same GPU begins after we looked; it must be flagged."""
    others = OtherLoad(scale.device)
    others.look()
    tell("alone", f"other load: {others.found}", **others.found)
    with subprocess.Popen([sys.executable, "-c", PLANTED], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            others.look()
        finally:
            child.kill()
    result = "flagged" if others.found["other_load"] else "NOT FLAGGED"
    tell("a planted second process", f"{result}: {others.found}", **others.found)


def run(scale: Scale, tell: Tell) -> None:
    state = occupancy(scale.device)
    tell("state of the device", str(state))
    if scale.device.type != "cuda":
        tell("energy", "not measured: only NVIDIA GPUs tell their energy; this device is a CPU")
        return
    torch.zeros(1, device=scale.device)
    planted(scale, tell)
    for label, precision in SUBJECTS:
        joules(label, precision, scale, tell)

"""What a model of your own costs: parameters, operations, memory, speed.

    python examples/measure_your_model.py

For numbers that count, nothing else should run on the machine.
"""

import torch
from torch import nn

from trainables import efficiency

IMAGE_SIZE = 64
model = nn.Sequential(
    nn.Conv2d(3, 32, kernel_size=4, stride=4),
    nn.GELU(),
    nn.Conv2d(32, 64, kernel_size=3, padding=1),
    nn.GELU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)
counts = efficiency.count(model, IMAGE_SIZE)
print(f"{counts.params:,} parameters, {counts.gflops:.4f} GFLOPs, {counts.gmacs:.4f} GMACs")
print(f"operators without a rule: {counts.uncounted or 'none'}")

device = "cuda" if torch.cuda.is_available() else "cpu"
found = efficiency.measure(model, IMAGE_SIZE, device, seconds=1.0, gmacs=counts.gmacs)
for name in ("throughput_images_per_s", "latency_ms", "training_peak_memory_bytes"):
    value = getattr(found, name)
    print(f"{name}: {found.reasons[name] if value is None else f'{value:,.4g}'}")
if found.other_load:
    print("other programs used the machine meanwhile: measure again when it is idle")

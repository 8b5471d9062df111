"""HaloNet, by timm: which of its networks, and how wide the halo of a block is."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="halonet",
    family="Sparse Attention",
    params={
        "architecture": Choice(("halonet_h1", "halonet26t", "halonet50ts")),
        "halo": Integer(1, 4),
        **TRAINING,
    },
    rules=(Divides(32, "image_size"),),
    conditions=TRAINING_CONDITIONS,
    source="Vaswani et al. 2021; WTTF reports it as failed (section D.1)",
)

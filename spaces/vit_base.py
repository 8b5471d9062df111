"""Pre-trained ViT-Base as the galaxy paper searched it: frozen or fine-tuned (Tables 6 to 8)."""

from spaces.galaxy import points
from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="vit_base",
    family="Baseline",
    params={
        "fine_tune": Choice((False, True)),
        **TRAINING,
        "step_size": Choice((1, 2, 3, 4, 5, 6, 8, 10, 200)),
    },
    fixed={"weights": "hub", "recipe": "finetune"},
    rules=(Divides(16, "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=points("vit_base"),
    source="galaxy_runs.csv, Tables 6 to 8",
)

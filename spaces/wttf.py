"""What the variants of WTTF share: the parameters of the shell and of training, and rows as points.

WTTF is "Which Transformer to Favor" (Nauen et al., arXiv:2308.09372) with its supplement. Its
models were trained with LAMB at a batch size of 2048. Points take the architecture, weight decay
and drop path from its rows; learning rate, schedule and batch size are our own starting values for
AdamW.
"""

from spaces.conditions import Condition, In, NotIn
from spaces.point import Point, Value
from spaces.published import table6_of
from spaces.space import Choice, Integer, Real

IMAGE_SIZE = 224
SHELL = {
    "grid": Choice((7, 8, 12, 14, 16, 24, 28)),
    "depth": Integer(2, 12),
    "dim": Integer(64, 512, step=64),
    "heads": Choice((1, 2, 3, 4, 6, 8)),
}
TRAINING = {
    "lr": Real(1e-5, 3e-3, log=True),
    "schedule": Choice(("step", "cosine")),
    "step_size": Choice((1, 2, 3, 5, 10, 200)),
    "gamma": Choice((0.1, 0.5, 0.9, 1.0)),
    "weight_decay": Choice((0.0, 0.01, 0.02, 0.05, 0.1)),
    "drop_path": Real(0.0, 0.3),
    "batch_size": Choice((16, 32, 64, 128)),
}
_STEP, _COSINE = In("schedule", ("step",)), In("schedule", ("cosine",))
_FIRST_STAGE = NotIn("pretrain_epochs", (0,))
# of all parameters of training, also of those that only a user searches
TRAINING_CONDITIONS: dict[str, tuple[Condition, ...]] = {
    "gamma": (_STEP,),
    "step_size": (_STEP, NotIn("gamma", (1.0,))),
    "min_lr": (_COSINE,),
    "warmup_share": (_COSINE,),
    "warmup_lr": (_COSINE, NotIn("warmup_share", (0.0,))),
    "pretrain_data": (_FIRST_STAGE,),
    "pretrain_image_size": (_FIRST_STAGE,),
    "pretrain_lr": (_FIRST_STAGE,),
    "pretrain_batch_size": (_FIRST_STAGE,),
}
_SMALL: dict[str, Value | None] = {"grid": 14, "depth": 12, "dim": 384, "heads": 6}
_TRAINED: dict[str, Value | None] = {
    "lr": 5e-4,
    "schedule": "cosine",
    "step_size": 10,
    "gamma": 0.9,
    "weight_decay": 0.02,
    "drop_path": 0.05,
    "batch_size": 64,
}


def row(model: str, **params: Value | None) -> Point:
    """The best row of Table 6 for `model` at 224 px as a point of a variant's space.

    `params` extend or replace the parameters of the shell of WTTF's "-S/16" models and of training;
    None leaves a parameter out.
    """
    return _point(model, {**_SMALL, **_TRAINED, **params})


def whole_row(model: str, **params: Value | None) -> Point:
    """The same for a model that does not use the plain shell."""
    return _point(model, {**_TRAINED, **params})


def _point(model: str, params: dict[str, Value | None]) -> Point:
    best = max(table6_of(model, IMAGE_SIZE), key=lambda row: float(row["top1_pct"]))
    note = "lr, schedule and batch size are not the row's, which was trained with LAMB at 2048"
    return Point(
        run_id=model,
        address=best["address"],
        params={name: value for name, value in params.items() if value is not None},
        results={
            "valid_top1": round(float(best["top1_pct"]) / 100, 6),
            "params": round(float(best["params_m"]) * 1e6),
            "gflops": float(best["gflops"]),
        },
        image_size=IMAGE_SIZE,
        data="ImageNet-1k",
        gflops_published=True,
        note="; ".join(filter(None, (note, best["corrections"]))),
    )

"""Metrics against scikit-learn and PyTorch."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from trainables.metrics import EPOCH, FINAL
from trainables.training.scoring import Score

CPU = torch.device("cpu")


def predictions(classes: int, images: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels that agree somewhat; one class is rare, one is never predicted."""
    generator = torch.Generator().manual_seed(classes)
    shares = torch.linspace(0.05, 1, classes)
    labels = torch.multinomial(shares, images, replacement=True, generator=generator)
    logits = torch.randn(images, classes, generator=generator)
    logits[torch.arange(images), labels] += 1
    logits[:, 1] -= 10
    return logits, labels


def scored(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, batch: int) -> Score:
    score = Score.empty(logits.shape[1], CPU)
    for part, answers in zip(logits.split(batch), labels.split(batch), strict=True):
        losses = torch.nn.functional.cross_entropy(part, answers, reduction="none")
        score.add(part, answers, losses, weights[answers])
    return score


@pytest.mark.parametrize("batch", [200, 7, 1])
@pytest.mark.parametrize("classes", [3, 5, 9])
def test_against_scikit_learn(classes, batch):
    logits, labels = predictions(classes)
    weights = torch.linspace(0.5, 2, classes)
    score = scored(logits, labels, weights, batch)
    every = list(range(classes))
    predicted = logits.argmax(1)
    macro = {"labels": every, "average": "macro", "zero_division": 0}
    np.testing.assert_array_equal(
        score.confusion.numpy(), metrics.confusion_matrix(labels, predicted, labels=every)
    )
    k = min(5, classes)
    top5 = 1.0 if k == classes else metrics.top_k_accuracy_score(labels, logits, k=k, labels=every)
    assert score.metrics("valid") == pytest.approx(
        {
            "valid_loss": torch.nn.functional.cross_entropy(logits, labels, weights).item(),
            "valid_top1": metrics.accuracy_score(labels, predicted),
            "valid_top5": top5,
            "valid_macro_recall": metrics.recall_score(labels, predicted, **macro),
            "valid_macro_f1": metrics.f1_score(labels, predicted, **macro),
        },
        rel=1e-5,
    )


def test_a_class_that_is_neither_there_nor_predicted_counts_as_zero():
    logits, labels = torch.eye(4)[[0, 1, 1]] * 5, torch.tensor([0, 1, 1])
    found = scored(logits, labels, torch.ones(4), 3).metrics("test")
    assert found["test_macro_recall"] == found["test_macro_f1"] == 0.5
    assert found["test_top1"] == 1.0


def test_names_are_in_the_catalogue():
    found = scored(*predictions(3), torch.ones(3), 50)
    assert found.metrics("valid").keys() <= EPOCH.keys()
    assert found.metrics("test").keys() <= FINAL.keys()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_show_in_the_loss(value):
    logits, labels = predictions(3)
    logits[5] = value
    found = scored(logits, labels, torch.ones(3), 50).metrics("valid")
    assert not np.isfinite(found["valid_loss"])


def test_sums_of_many_small_losses_stay_exact():
    score = Score.empty(2, CPU)
    logits, labels = torch.tensor([[12.0, 0.0]]), torch.tensor([0])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    for _ in range(1000):
        score.add(logits, labels, losses, torch.ones(1))
    expected = losses.item()
    assert score.metrics("train")["train_loss"] == pytest.approx(expected, rel=1e-12)

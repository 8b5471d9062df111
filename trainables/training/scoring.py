"""Metrics of a split, from its confusion matrix and sums. Letters: B = batch, C = classes."""

from dataclasses import dataclass

import torch


@dataclass(slots=True)
class Score:
    """Sums over a split; the scores of its parts add up to that of the whole.

    `confusion` (C, C) counts images by true (row) and predicted (column) class; `sums` (3,) holds
    the weighted losses, their weights, and the images whose label is among the top five.
    """

    confusion: torch.Tensor
    sums: torch.Tensor

    @classmethod
    def empty(cls, classes: int, device: torch.device) -> "Score":
        # float64 counts exactly up to 2^53 and can be summed by every collective backend
        zeros = torch.zeros(classes, classes, dtype=torch.float64, device=device)
        return cls(zeros, torch.zeros(3, dtype=torch.float64, device=device))

    def add(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        losses: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        """Count a batch: logits (B, C), labels, losses and their weights (B,).

        Nothing is read back from the device, so that it does not have to wait.
        """
        classes = len(self.confusion)
        top = logits.topk(min(5, classes), dim=1).indices
        pairs = labels * classes + top[:, 0]
        ones = torch.ones_like(pairs, dtype=self.confusion.dtype)
        self.confusion.view(-1).index_add_(0, pairs, ones)
        hits = (top == labels.unsqueeze(1)).any(1).sum()
        self.sums += torch.stack(((losses * weights).sum(), weights.sum(), hits)).to(self.sums)

    def metrics(self, split: str) -> dict[str, float]:
        """Loss, top-1, top-5, macro recall and macro F1, named for `split`."""
        images, right = self.confusion.sum(), self.confusion.diagonal()
        true, predicted = self.confusion.sum(1), self.confusion.sum(0)
        recall = right / true.clamp(min=1)
        f1 = 2 * right / (true + predicted).clamp(min=1)
        values = {
            "loss": self.sums[0] / self.sums[1],
            "top1": right.sum() / images,
            "top5": self.sums[2] / images,
            "macro_recall": recall.mean(),
            "macro_f1": f1.mean(),
        }
        return {f"{split}_{name}": float(value) for name, value in values.items()}

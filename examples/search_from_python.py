"""Search the hyperparameters of a training of your own: here a small network on digits.

    python examples/search_from_python.py

The searcher and the early stopping are those of `search.run`; `objective` trains one more epoch of
a configuration and returns its metrics.
"""

from functools import cache

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import search
from spaces.space import Integer, Real, Space

SPACE = Space(params={"width": Integer(8, 64, step=8), "lr": Real(1e-4, 1e-1, log=True)})
images, labels = load_digits(return_X_y=True)
train, valid, train_labels, valid_labels = train_test_split(images / 16, labels, random_state=0)


@cache
def network(width: int, lr: float) -> MLPClassifier:
    return MLPClassifier((width,), learning_rate_init=lr, batch_size=64, random_state=0)


def objective(params: dict, _epoch: int) -> dict[str, float]:
    model = network(params["width"], params["lr"])
    model.partial_fit(train, train_labels, classes=range(10))
    return {"error": 1 - float(model.score(valid, valid_labels))}


history = search.simulate(
    objective, SPACE, directions={"error": "min"}, max_epochs=9, budget_epochs=60
).history
best = min(history, key=lambda row: row.metrics["error"])
trials = len({row.trial for row in history})
print(f"{trials} trials, {len(history)} epochs; best after epoch {best.epoch}: {best.params}")
print(f"validation error {100 * best.metrics['error']:.1f} %")

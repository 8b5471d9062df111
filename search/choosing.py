"""The space that is asked for: by `--set` and `--space`, or as an earlier plan has it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spaces
from search import assignments
from search.plan import Plan
from search.settings import Chosen
from spaces import document
from spaces.space import Space
from trainables.recipe import TRAINING


def choose(
    variant: str, texts: Sequence[str], file: str | None, earlier: Plan | None
) -> tuple[Chosen, list[str]]:
    """What is said of the space of `variant`, and what of it cannot be read.

    Where nothing is said, an `earlier` plan's is kept.
    """
    kinds: tuple[type, ...] = TRAINING
    if variant in spaces.names():
        from trainables import models

        kinds = (*TRAINING, *models.kinds(spaces.load(variant).model))
    said, wrong = assignments.read(texts, kinds)
    settings, domains = said.values, assignments.documents(said.domains)
    if earlier and not texts:
        settings, domains = dict(earlier.settings), dict(earlier.domains)
    own: dict[str, Any] = dict(earlier.own_space) if earlier else {}
    if file is not None:
        try:
            own = document.written(_read(Path(file)))
        except ValueError as error:
            wrong += [f"--space {line}" for line in str(error).splitlines()]
    return Chosen(settings, domains, own), wrong


def _read(file: Path) -> Space:
    """The space of a Python, TOML or JSON file. Raises ValueError with all mistakes."""
    from spaces import literal, table

    return (table if file.suffix in (".toml", ".json") else literal).load(file)

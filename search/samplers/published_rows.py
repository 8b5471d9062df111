"""Nothing but the published rows of the variant, each trained to its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from search.samplers import PUBLISHED, Resume, Seen, Start, Task, Verdict


class PublishedRows:
    """The sampler `published`: the rows come before it, and it adds none."""

    ends = "every published row that can be built at this image size was tried"

    def __init__(self, task: Task, pruner: str | None = None):  # noqa: ARG002
        if pruner not in (None, "none"):
            raise ValueError(f"the sampler {PUBLISHED!r} trains each row to its end")

    def ask(
        self,
        seen: Sequence[Seen],  # noqa: ARG002
        number: int,  # noqa: ARG002
        *,
        start: bool,  # noqa: ARG002
    ) -> Start | Resume | None:
        return None

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> Verdict:  # noqa: ARG002
        return Verdict.GO_ON

    def restore(self, why: Mapping[str, Any]) -> None: ...

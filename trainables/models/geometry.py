"""What a module is told about its surroundings, so that it never has to guess."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The tokens of a shell: a `grid` (height, width) of patches behind `prefix` class tokens.

    `width` is the size of a token (D), `heads` the number of attention heads (H).
    """

    width: int
    heads: int
    grid: tuple[int, int]
    prefix: int = 1

    @property
    def tokens(self) -> int:
        """N, the class tokens included."""
        return self.prefix + self.grid[0] * self.grid[1]

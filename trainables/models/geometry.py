"""What a module is told about its surroundings, so that it never has to guess."""

from dataclasses import dataclass, replace
from typing import Self


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

    @property
    def head_width(self) -> int:
        """Channels of a head; raises ValueError if the heads cannot share the width evenly."""
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} must divide dim={self.width}")
        return self.width // self.heads


@dataclass(frozen=True, kw_only=True, slots=True)
class Patches:
    """How an image is cut: either `grid` (tokens per side) or `patch` (pixels) is given."""

    grid: int | None = None
    patch: int | None = None

    def patch_size(self, image_size: int) -> int:
        """Height and width of a patch in pixels.

        Raises:
            ValueError: The image cannot be cut so.
        """
        if (self.grid is None) == (self.patch is None):
            raise ValueError(
                "exactly one of grid (tokens per side) and patch (pixels) must be given"
            )
        name, side = ("grid", self.grid) if self.patch is None else ("patch", self.patch)
        if not side or side < 1 or image_size % side:
            fits = [d for d in range(1, image_size + 1) if image_size % d == 0]
            raise ValueError(
                f"{name}={side} must divide the image's {image_size} px "
                f"(allowed: {', '.join(map(str, fits))})"
            )
        return image_size // side if self.patch is None else side

    def patch_mistakes(self, image_size: int) -> list[str]:
        try:
            self.patch_size(image_size)
        except ValueError as error:
            return [str(error)]
        return []

    def with_patch_of(self, image_size: int) -> Self:
        """The same with the patch in pixels, as it is at `image_size`."""
        return replace(self, grid=None, patch=self.patch_size(image_size))

"""Images in a zip archive, which is read as it is and never unpacked; traps in it are named."""

import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from trainables.data.dataset import DataError
from trainables.data.importing.image_files import MAX_FILE_BYTES, escapes, is_image

MAX_RATIO = 200
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ZipImages:
    """Images in an archive by the stems of their names; what could be a trap is a problem."""

    def __init__(self, source: Path, problems: list[tuple[str, str]]):
        try:
            self._archive = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError([f"{source}: damaged ({error}); download it again"]) from error
        sound = []
        for member in self._archive.infolist():
            if reason := _trap(member):
                problems.append((member.filename, reason))
            else:
                sound.append(member.filename)
        self.paths = by_stem(sound, problems)

    def notes(self) -> list[str]:
        """Nothing: what is strange in an archive is a problem."""
        return []

    def reader(self, paths: Sequence[str]) -> "_Members":
        return _Members(self._archive, paths)


class _Members:
    """Reads image `i` of a listing: the member `paths[i]` of an archive."""

    def __init__(self, archive: zipfile.ZipFile, paths: Sequence[str]):
        self._archive, self._paths = archive, paths

    def __call__(self, index: int) -> bytes:
        try:
            return self._archive.read(self._paths[index])
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise OSError(f"damaged in the archive ({error})") from error


def _trap(member: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, by its header; reading stops at the size that this says."""
    if escapes(member.filename):
        return "leaves the folder of the archive"
    if member.flag_bits & 1:
        return "encrypted"
    if member.compress_type not in METHODS:
        return f"compressed by method {member.compress_type}; wanted: stored or deflated"
    if member.file_size > MAX_FILE_BYTES:
        return f"{member.file_size:,} bytes, more than {MAX_FILE_BYTES // 2**20} MiB"
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        return f"{member.file_size:,} bytes out of {member.compress_size:,}: a zip bomb"
    return None


def by_stem(paths: Iterable[str], problems: list[tuple[str, str]]) -> dict[str, str]:
    """Paths of images by the stems of their names; a second one of a stem is a problem."""
    found: dict[str, str] = {}
    for path in paths:
        pure = PurePosixPath(path)
        if not is_image(pure.name) or pure.name.startswith((".", "_")) or "__MACOSX" in pure.parts:
            continue
        if found.setdefault(pure.stem, path) != path:
            problems.append((path, f"a second image of the name {pure.stem}"))
    return found

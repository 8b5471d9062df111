"""Which folders of a source are splits, and which are classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from trainables.data.dataset import SPLITS, DataError
from trainables.data.importing.image_files import Tree, is_image
from trainables.data.importing.splitting import TEST, split_index, split_within

PLAIN = "*"
FLAT, NESTED, MIXED, EMPTY = "flat", "nested", "mixed", "empty"
UNLABELLED = ("pred", "predict", "prediction", "predictions", "unlabelled", "unlabeled")
SHOWN = 5


class NoClassesError(DataError):
    """No folder holds images that it could name the class of."""


@dataclass
class Layout:
    """(class, its path in the source, split or -1) of each folder of a class, and what to say."""

    places: list[tuple[str, str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def layout(tree: Tree, classes: Sequence[str] | None = None, within: str = "") -> Layout:
    """The folders of classes in a source, perhaps within those of splits.

    A folder of a split holds folders of images. One that holds images itself is a class, whatever
    it is called; but beside splits that hold classes, `test` is then without labels and is left
    out. Where `classes` are given, folders of these names are classes.

    Raises DataError for images that lie beside folders, and for folders that could be either.
    """
    inside = tree.folders(within)
    if not inside:
        raise NoClassesError(
            [f"{_at(tree, within)}: no folder in it; images belong in folders, one per class"]
        )
    splits = {} if classes and set(inside) <= set(classes) else _splits(inside)
    if len(inside) == 1 and not splits and _is_wrapping(tree, _in(within, inside[0])):
        found = layout(tree, classes, _in(within, inside[0]))
        found.notes.append(f"{_at(tree, within)} holds one folder, {inside[0]}, which is read")
        return found
    said: list[str] = []
    if splits:
        paths = {name: _inner(tree, _in(within, name)) for name in inside}
        shapes = {name: _shape(tree, path) for name, path in paths.items()}
        others = any(shapes[name] != EMPTY for name in inside if name not in splits)
        nested = (NESTED,) if others else (NESTED, MIXED)
        if any(shapes[name] in nested for name in splits):
            return _of_splits(tree, within, paths, shapes, splits)
        filled = [name for name in splits if shapes[name] != EMPTY]
        if not others:
            raise NoClassesError([_without_classes(tree, within, filled or list(splits))])
        if len({splits[name] for name in filled}) > 1:
            raise DataError([_either(tree, within, filled, sorted(set(inside) - set(filled)))])
        said = [f"{name} is taken for a class: images lie in it, not in folders" for name in filled]
    if loose := _loose(tree, within):
        raise DataError([loose])
    return Layout([(name, _in(within, name), -1) for name in inside], said)


def _of_splits(
    tree: Tree, within: str, paths: dict[str, str], shapes: dict[str, str], splits: dict[str, int]
) -> Layout:
    found = Layout()
    others = [name for name in paths if name not in splits]
    unlabelled = [name for name in others if shapes[name] == FLAT and _unlabelled(name, splits)]
    if strange := [n for n in others if n not in unlabelled and shapes[n] != EMPTY]:
        raise DataError([_either(tree, within, sorted(splits), strange)])
    for name in others:
        if name not in unlabelled:
            found.notes.append(f"{name} holds no image and is left out")
    unlabelled += [n for n in splits if splits[n] == TEST and shapes[n] == FLAT]
    for name in unlabelled:
        count = len(tree.images(paths[name]))
        said = f"{_at(tree, paths[name])}: {count:,} images in no folder of a class"
        found.notes.append(f"{said}: they have no labels and are left out")
    labelled = [name for name in splits if name not in unlabelled]
    if loose := [said for name in labelled if (said := _loose(tree, paths[name]))]:
        raise DataError(loose)
    renamed = [f"{paths[n]} as {SPLITS[splits[n]]}" for n in labelled if split_index(n) is None]
    found.notes += [f"folders are read as splits: {', '.join(renamed)}"] if renamed else []
    found.places = [
        (inner, _in(paths[name], inner), splits[name])
        for name in labelled
        for inner in tree.folders(paths[name])
    ]
    return found


def _splits(names: Sequence[str]) -> dict[str, int]:
    """The split of each name that means one: alone, or with words that others have as well."""
    within = {name: said for name in names if (said := split_within(name))}
    alike: dict[str, set[int]] = {}
    for around, split in within.values():
        alike.setdefault(around, set()).add(split)
    return {n: split for n, (a, split) in within.items() if a == PLAIN or len(alike[a]) > 1}


def _unlabelled(name: str, splits: dict[str, int]) -> bool:
    """Whether a name such as "seg_pred" is that of images without labels beside the splits."""
    if name.lower() in UNLABELLED:
        return True
    frames = {said[0] for split in splits if (said := split_within(split))} - {PLAIN}
    ends = [frame.split(PLAIN) for frame in frames]
    return any(name.lower().startswith(a) and name.lower().endswith(b) for a, b in ends)


def _inner(tree: Tree, path: str) -> str:
    """The folder that is meant by `path`: archives hold a folder in one of the same name."""
    inside = tree.folders(path)
    if len(inside) != 1 or tree.images(path):
        return path
    outer, inner = PurePosixPath(path).name.lower(), inside[0].lower()
    mine, its = split_within(outer), split_within(inner)
    again = outer == inner or (mine is not None and its is not None and mine[1] == its[1])
    idle = mine is not None and inner in ("images", "image", "img", "data")
    return _inner(tree, _in(path, inside[0])) if again or idle else path


def _is_wrapping(tree: Tree, path: str) -> bool:
    """Whether two or more folders of images, or folders of splits, are all that is in a folder."""
    inside = tree.folders(path)
    if len(inside) == 1 and not tree.images(path):
        return bool(_splits(inside)) or _is_wrapping(tree, _in(path, inside[0]))
    return len(inside) > 1 and not tree.images(path)


def _shape(tree: Tree, path: str) -> str:
    inside = (_in(path, name) for name in tree.folders(path))
    deeper = any(is_image(each) for folder in inside for each in tree.walk(folder))
    if tree.images(path):
        return MIXED if deeper else FLAT
    return NESTED if deeper else EMPTY


def _loose(tree: Tree, within: str) -> str | None:
    """What to say of images that lie beside the folders of classes, if any do."""
    loose = tree.images(within)
    if not loose:
        return None
    said = f"{_at(tree, within)}: {len(loose)} images, such as {loose[0]}, lie beside the folders"
    return f"{said} of classes; move each into the folder of its class"


def _without_classes(tree: Tree, within: str, splits: list[str]) -> str:
    loose = filter(None, (_loose(tree, _in(within, name)) for name in splits))
    said = next(loose, f"{_at(tree, within)}: no image in {', '.join(splits)}")
    return f"{said}, such as {splits[0]}/CLASS, or give a table of labels with --labels"


def _either(tree: Tree, within: str, splits: Sequence[str], others: Sequence[str]) -> str:
    return (
        f"{_at(tree, within)}: {', '.join(splits)} are splits and {', '.join(others[:SHOWN])} are "
        "not; have only folders of splits, or of classes (these may be named with --classes)"
    )


def _in(within: str, name: str) -> str:
    return f"{within}/{name}" if within else name


def _at(tree: Tree, within: str) -> str:
    return str(tree.root / within)

"""The command line of `search.measure`: read, and checked all at once."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from search import reading
from search.measuring import Measuring, here
from search.sweep_folder import SweepFolder
from spaces.space import Value, nearest
from trainables import fields
from trainables.efficiency.execution import MODES, PRECISIONS, WTTF_PROTOCOL, Setting
from trainables.efficiency.fresh import default_seconds
from trainables.efficiency.repeats import REPEATS
from trainables.efficiency.subjects import ALL, IMAGE_SIZE, Subject, SubjectError, parse
from trainables.errors import BadRequestError

# those that say how trials and models are measured thoroughly
_THOROUGH = (
    *("image_size", "precision", "mode", "wttf_protocol"),
    *("repeats", "seconds", "retry_failed"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is measured thoroughly, and how.

    `models` are subjects that the command line names, `trials` keys of its sweep, measured at
    `image_sizes` px, of which none means the sweep's own. `repeats` are fresh processes, each of
    which gives `seconds` to timing.
    """

    models: Sequence[Subject]
    trials: Sequence[str]
    image_sizes: Sequence[int]
    settings: Sequence[Setting]
    repeats: int
    seconds: float
    retry_failed: bool


def parser(meaning: str | None) -> argparse.ArgumentParser:
    root = reading.parser("search.measure", meaning)
    add = root.add_argument
    add("--trial", nargs="+", default=[], metavar="KEY", help="trials of the sweep, thoroughly")
    models = f"variants, published rows (Hydra-S/16), or {ALL!r}, thoroughly"
    add("--model", nargs="+", default=[], metavar="NAME", help=models)
    add("--set", nargs="+", default=[], dest="settings", metavar="NAME=VALUE", help="of variants")
    sizes = f"height and width in pixels (a trial's own; {IMAGE_SIZE})"
    add("--image-size", nargs="+", default=[], metavar="N", help=sizes)
    add("--device", help="cpu, cuda or cuda:N (a GPU if there is one)")
    for name, known in (("precision", PRECISIONS), ("mode", MODES)):
        meaning = f"{', '.join(known)} ({known[0]})"
        add(f"--{name}", nargs="+", default=[], metavar=name.upper(), help=meaning)
    add("--wttf-protocol", action="store_true", help="also as the paper WTTF measured")
    add("--repeats", metavar="N", help=f"fresh processes for each ({REPEATS})")
    seconds = f"({default_seconds('cpu'):g}; {default_seconds('cuda'):g} on a GPU)"
    add("--seconds", metavar="S", help=f"time for timing in each process {seconds}")
    add("--retry-failed", action="store_true", help="measure again what failed before")
    return root


def read(given: argparse.Namespace) -> tuple[Measuring, Request | None]:
    """Where to measure, and what thoroughly: None for whole sweeps.

    Raises:
        BadRequestError: With all mistakes of the command line.
    """
    wrong: list[str] = []
    way = None
    try:
        way = here(given.device)
    except ValueError as error:
        wrong.append(f"--device: {error}")
    thorough = given.trial or given.model
    request = _thorough(given, way.kind if way else "cpu", wrong) if thorough else None
    if not thorough:
        used = [name for name in (*_THOROUGH, "settings") if getattr(given, name)]
        options = [f"--{'set' if n == 'settings' else n.replace('_', '-')}" for n in used]
        wrong += [f"{option} needs --model NAME, or SWEEP --trial KEY" for option in options]
        wrong += reading.mistakes(given)
    if wrong or way is None:
        raise BadRequestError(wrong)
    return way, request


def _thorough(given: argparse.Namespace, device: str, wrong: list[str]) -> Request:
    usual = default_seconds(device)
    sizes = _numbers("image-size", given.image_size, int, wrong)
    (repeats,) = _numbers("repeats", [given.repeats or REPEATS], int, wrong) or [REPEATS]
    (seconds,) = _numbers("seconds", [given.seconds or usual], float, wrong) or [usual]
    return Request(
        models=_models(given, sizes, wrong),
        trials=_trials(given, wrong),
        image_sizes=sizes,
        settings=_settings(given, wrong),
        repeats=repeats,
        seconds=seconds,
        retry_failed=given.retry_failed,
    )


def _numbers(option: str, texts: Sequence[Any], kind: type, wrong: list[str]) -> list[Any]:
    """Those of `texts` that are positive numbers; the others are mistakes."""
    found: list[Any] = []
    for text in texts:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and number > 0:
            found.append(number)
        else:
            expected = "whole numbers of at least 1" if kind is int else "a number above 0"
            wrong.append(f"--{option} must be {expected}, given {text!r}")
    return found


def _models(given: argparse.Namespace, sizes: Sequence[int], wrong: list[str]) -> Sequence[Subject]:
    settings: dict[str, Value] = {}
    try:
        settings = fields.assignments(given.settings)
    except ValueError as error:
        wrong.append(f"--set: {error}")
    if given.settings and not given.model:
        wrong.append("--set needs --model NAME; a trial has its parameters")
    if not given.model:
        return []
    try:
        return parse(given.model, settings, image_sizes=sizes or (IMAGE_SIZE,))
    except SubjectError as error:
        wrong += [f"--model: {mistake}" for mistake in error.mistakes]
    return []


def _trials(given: argparse.Namespace, wrong: list[str]) -> Sequence[str]:
    if not given.trial:
        if given.sweeps:
            wrong.append(f"{' '.join(given.sweeps)} beside --model: name trials with --trial KEY")
        return []
    if len(given.sweeps) != 1:
        wrong.append(f"--trial needs the name of one sweep, given {len(given.sweeps)}")
        return []
    if mistakes := reading.mistakes(given):
        wrong += mistakes
        return []
    known = sorted(SweepFolder.of(given.home, given.sweeps[0]).trial_keys())
    unknown = [key for key in given.trial if key not in known]
    wrong += [f"--trial: {given.sweeps[0]} has no {key!r}{nearest(key, known)}" for key in unknown]
    return list(dict.fromkeys(given.trial))


def _settings(given: argparse.Namespace, wrong: list[str]) -> Sequence[Setting]:
    """Every mode in every precision, which training takes too; then WTTF's own."""
    found: list[Setting] = []
    for mode in dict.fromkeys(given.mode or MODES[:1]):
        wrong += _unknown("mode", mode, MODES)
    for precision in dict.fromkeys(given.precision or PRECISIONS[:1]):
        wrong += _unknown("precision", precision, PRECISIONS)
    for mode, precision in product(given.mode or MODES[:1], given.precision or PRECISIONS[:1]):
        if mode in MODES and precision in PRECISIONS:
            found.append(Setting(mode, precision, training_precision=precision))
    return list(dict.fromkeys((*found, *([WTTF_PROTOCOL] if given.wttf_protocol else []))))


def _unknown(option: str, value: str, known: Sequence[str]) -> list[str]:
    if value in known:
        return []
    hint = nearest(value, list(known))
    return [f"--{option} has no {value!r}{hint} (there are: {', '.join(known)})"]

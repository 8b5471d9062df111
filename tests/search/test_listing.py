"""The list names every variant once, in its family, with its published costs."""

import pytest

import spaces
from search import run
from search.listing import FAMILIES, listing
from spaces.published import table6_corrected
from trainables import models


def cells() -> list[list[str]]:
    columns = [list(column.cells) for column in listing().columns]
    return [list(map(str, row)) for row in zip(*columns, strict=True)]


def test_every_variant_is_named_once():
    named = [row[1] for row in cells() if row[1]]
    assert sorted(named) == spaces.names()


def test_families_are_those_of_wttf_in_its_order():
    shown = [row[0] for row in cells() if row[0]]
    assert shown[: len(FAMILIES)] == list(FAMILIES), "other families come after them"
    printed = {r["taxonomy_class"].removesuffix(" (ResNet)") for r in table6_corrected()}
    assert printed <= set(FAMILIES)


def test_a_variant_without_a_published_row_is_listed_too(monkeypatch):
    for rows in ("published", "wttf"):
        known = getattr(models, rows)
        without = {name: known(name) for name in models.names()} | {"hydra": {}}
        monkeypatch.setattr(models, rows, without.__getitem__)
    assert "not published" in {row[2] for row in cells()}
    assert "hydra" in {row[1] for row in cells()}


def test_published_costs():
    rows = {row[2]: row[3:] for row in cells()}
    assert rows["Hydra-S/16"] == ["22.06", "4.29"]
    assert rows["Performer-S/16"] == ["no row", "no row"]
    assert rows["24 runs of the galaxy paper"] == ["", ""]
    models_at_224 = {r["model"] for r in table6_corrected() if r["res_px"] == "224"}
    assert models_at_224 <= rows.keys()


def test_the_command_prints_it_and_ends(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        run.main(["--list"])
    assert ended.value.code == 0
    assert "linear_transformer" in capsys.readouterr().out  # the longest name, on 80 columns

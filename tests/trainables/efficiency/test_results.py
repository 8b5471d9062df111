"""The table of measurements: one identity a row, and what survives what."""

import json
import os
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tests.trainables.efficiency_answer import answer
from trainables.efficiency.results import Identity, Results
from trainables.efficiency.summary import summarise
from trainables.metrics import EFFICIENCY

IDENTITY = Identity(
    model="vit",
    params={"depth": 1, "dim": 8, "layer_scale": 1.0},
    image_size=14,
    num_classes=3,
    device="cpu: a processor",
    threads=1,
    precision="fp32",
    training_precision="fp32",
    mode="eager",
    timing_seconds=1.0,
    versions={"torch": "2.11", "numpy": "2.0"},
)
OTHER = replace(IDENTITY, mode="compile")


def test_an_identity_hides_no_measurement():
    assert not (IDENTITY.columns.keys() & summarise([answer()]).keys())


def test_the_key_is_of_the_content_alone():
    params = dict(reversed(IDENTITY.params.items()))
    versions = dict(reversed(IDENTITY.versions.items()))
    same = replace(IDENTITY, params=params | {"layer_scale": 1}, versions=versions)
    assert same.key == IDENTITY.key
    assert len(IDENTITY.key) == 64
    changed = [OTHER, replace(IDENTITY, threads=2), replace(IDENTITY, versions={})]
    changed += [replace(IDENTITY, params={**IDENTITY.params, "layer_scale": True})]
    changed += [replace(IDENTITY, timing_seconds=2.0)]
    changed += [replace(IDENTITY, metrics=("latency_ms", "gmacs"))]
    assert len({IDENTITY.key, *(other.key for other in changed)}) == 7
    assert replace(changed[-1], metrics=["gmacs", "latency_ms"]).key == changed[-1].key
    assert replace(IDENTITY, timing_seconds=1).key == IDENTITY.key


def test_repeats_of_one_identity_come_together(tmp_path):
    results = Results(tmp_path / "new")
    assert results.get(IDENTITY) is None
    results.add(IDENTITY, [answer(1.0)], label="ViT")
    row = results.add(IDENTITY, [answer(3.0), answer(8.0)])
    assert row == results.get(IDENTITY) == Results(tmp_path / "new").get(IDENTITY)
    assert (row["label"], row["repeats"], row["latency_ms"]) == ("ViT", 3, 3.0)
    assert results.get(OTHER) is None


def test_quick_and_thorough_repeats_do_not_mix(tmp_path):
    results = Results(tmp_path)
    results.add(IDENTITY, [answer(1.0)])
    row = results.add(replace(IDENTITY, timing_seconds=2.0), [answer(3.0)])
    assert (row["repeats"], row["latency_ms"], row["timing_seconds"]) == (1, 3.0, 2.0)
    assert results.get(IDENTITY)["latency_ms"] == 1.0


def test_some_and_all_metrics_do_not_mix(tmp_path):
    some = replace(IDENTITY, metrics=("latency_ms",))
    Results(tmp_path).add(some, [answer(1.0)])
    again = Results(tmp_path)
    assert again.get(IDENTITY) is None
    assert again.get(some)["latency_ms"] == 1.0
    assert again.add(IDENTITY, [answer(3.0)])["latency_ms"] == 3.0
    table = pq.read_table(tmp_path / "measurements.parquet")
    assert table["metrics"].to_pylist() == ['["latency_ms"]', None]


def test_the_key_of_earlier_versions_is_that_of_all_metrics():
    assert "metrics" not in IDENTITY.columns.keys() | IDENTITY.document.keys()
    assert IDENTITY.key == "8f0ea548931bcbec8ad179fee3bcf3a51b206c39d9269d1dd620f3f1b6e4f5d8"


def test_the_file_holds_rows_units_and_meanings(tmp_path):
    results = Results(tmp_path)
    results.add(IDENTITY, [answer(), answer(4.0)], label="ViT")
    results.add(OTHER, [{"error": "it does not compile"}])
    table = pq.read_table(results.path)
    measured, failed = table.to_pylist()
    assert (measured["label"], measured["mode"], measured["latency_ms"]) == ("ViT", "eager", 3.0)
    assert json.loads(measured["architecture"]) == IDENTITY.params
    assert measured["params"] == 100
    assert measured["throughputs"][1]["images_per_s"] == 100.0
    assert dict(measured["by_operator"]) == {"matmul": 5.0}
    assert dict(failed["reasons"]) == {"everything": "it does not compile"}
    assert (failed["latency_ms"], failed["other_load"], failed["device_name"]) == (None,) * 3
    about = table.schema.field("latency_ms_least").metadata
    assert about[b"unit"] == b"ms"
    assert about[b"statistic"] == b"least of the repeats"
    assert about[b"meaning"] == EFFICIENCY["latency_ms"].meaning.encode()
    assert table.schema.field("latency_ms_spread").metadata[b"unit"] == b"1"
    assert table.schema.field("image_size").metadata == {b"unit": b"px"}
    assert table.schema.field("timing_seconds").metadata == {b"unit": b"s"}
    parts = table.schema.field("throughputs").type.value_type
    assert parts.field("p10_images_per_s").metadata == {b"unit": b"images/s"}


def test_an_empty_table_has_the_columns_of_the_catalogue(tmp_path):
    table = Results(tmp_path).table()
    assert table.num_rows == 0
    assert set(EFFICIENCY) | {"key", "reasons", "throughputs"} <= set(table.column_names)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        _flip,
    ],
)
def test_a_damaged_table_is_made_again(tmp_path, damage):
    results = Results(tmp_path)
    results.add(IDENTITY, [answer()])
    sound = results.table()
    damage(results.path)
    assert Results(tmp_path).table().equals(sound)
    assert pq.read_table(results.path).equals(sound)


def test_a_table_behind_its_journal_is_made_again(tmp_path):
    results = Results(tmp_path)
    results.add(IDENTITY, [answer()])
    before = results.path.read_bytes()
    results.add(OTHER, [answer()])
    results.path.write_bytes(before)  # as if the process had ended between the two writes
    assert Results(tmp_path).table().num_rows == 2


def test_the_answer_is_on_disk_before_the_table(tmp_path, monkeypatch):
    results = Results(tmp_path)

    def ended(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", ended)
        with pytest.raises(KeyboardInterrupt):
            results.add(IDENTITY, [answer()])
    again = Results(tmp_path)
    assert again.get(IDENTITY) is not None
    assert again.table().num_rows == 1


def test_a_torn_line_is_left_out_and_spoils_nothing(tmp_path):
    results = Results(tmp_path)
    results.add(IDENTITY, [answer()])
    journal = tmp_path / "measurements.jsonl"
    os.truncate(journal, journal.stat().st_size - 5)
    after = Results(tmp_path)
    assert after.get(IDENTITY) is None
    after.add(OTHER, [answer()])
    assert Results(tmp_path).table()["mode"].to_pylist() == ["compile"]


def test_two_who_measure_share_one_table(tmp_path):
    one, two = Results(tmp_path), Results(tmp_path)
    one.add(IDENTITY, [answer(1.0)])
    two.add(OTHER, [answer()])
    two.add(IDENTITY, [answer(3.0)])
    assert two.get(IDENTITY)["repeats"] == 2
    assert pq.read_table(two.path).num_rows == one.table().num_rows == 2


@pytest.mark.parametrize("damage", [b"garbage", b"[]", b'{"identity": {}, "answers": []}', b"\xff"])
def test_a_damaged_line_is_named_and_hides_no_other(tmp_path, damage):
    results = Results(tmp_path)
    results.add(IDENTITY, [answer()])
    journal = tmp_path / "measurements.jsonl"
    journal.write_bytes(damage + b"\n" + journal.read_bytes())
    after = Results(tmp_path)
    assert after.get(IDENTITY) is not None
    (said,) = after.damages
    assert f"{journal}, line 1 is damaged" in said
    after.add(OTHER, [answer()])
    assert Results(tmp_path).table().num_rows == 2

"""The command that measures, with a run that measures nothing."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from search import measure, measure_request
from search.measuring import Measuring, here
from tests.trainables.efficiency_answer import answer

MODEL = ("--model", "Hydra-S/16", "FNet-S/16")


class Run:
    def __init__(self):
        self.asked, self.stop_after = [], None

    def __call__(self, model, _params, **named):
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((model, named["mode"], named["seconds"], named["image_size"]))
        found = answer(latency_ms=float(len(self.asked)))
        found["measurements"]["throughputs"] = []  # nothing that could contradict the latency
        return found


@pytest.fixture
def run(monkeypatch):
    found = Run()
    way = Measuring(found, "cpu: a processor", 1)
    monkeypatch.setattr(measure_request, "here", lambda _device: way)
    return found


def main(home, *arguments):
    return measure.main([*arguments, "--home", str(home)])


def test_models_are_measured_shown_and_kept(tmp_path, run, capsys):
    assert main(tmp_path, *MODEL, "--mode", "eager", "compile", "--repeats", "3") == 0
    assert len(run.asked) == 2 * 2 * 3
    told = capsys.readouterr().out
    file = tmp_path / "measurements.parquet"
    assert f"cpu: a processor; every number: {file}" in told
    for part in ("Hydra-S/16", "FNet-S/16", "compile", "latency_ms", "] out of memory"):
        assert part in told
    table = pq.read_table(file)
    assert table["repeats"].to_pylist() == [3] * 4
    assert table["timing_seconds"].to_pylist() == [2.0] * 4


def test_an_interrupted_measuring_goes_on(tmp_path, run, capsys):
    run.stop_after = 3
    assert main(tmp_path, *MODEL) == 130
    assert "the same command goes on" in capsys.readouterr().err
    run.stop_after = None
    assert main(tmp_path, *MODEL) == 0
    assert len(run.asked) == 10
    assert main(tmp_path, *MODEL) == 0
    assert len(run.asked) == 10


def test_a_sweep_is_measured_quickly_and_its_trials_thoroughly_beside(trained_sweep, run, capsys):
    assert main(trained_sweep.home, "small") == 0
    assert "small: 1 trials, 0 without values" in capsys.readouterr().out
    quick = len(run.asked)
    record = trained_sweep.study().accepted[0]
    assert main(trained_sweep.home, "small", "--trial", record.key, "--repeats", "2") == 0
    assert run.asked[quick:] == [("linformer", "eager", 2.0, 56)] * 2
    client = trained_sweep.client
    experiment = client.get_experiment_by_name("linformer").experiment_id
    (found,) = client.search_runs([experiment], f"tags.trial_key = '{record.key}'")
    assert found.data.metrics["latency_ms"] <= quick, "the headline is the sweep's"
    place = client.download_artifacts(found.info.run_id, "efficiency.json")
    rows = json.loads(Path(place).read_text())
    assert [(row["repeats"], row["timing_seconds"]) for row in rows] == [(1, 1.0), (2, 2.0)]
    assert {row["label"] for row in rows} == {f"small {record.key}"}


def test_trials_and_models_are_measured_together(trained_sweep, run):
    key = trained_sweep.study().accepted[0].key
    arguments = ("small", "--trial", key, *MODEL, "--image-size", "56", "112", "--repeats", "1")
    assert main(trained_sweep.home, *arguments) == 0
    assert [asked[3] for asked in run.asked if asked[0] == "linformer"] == [56, 112]
    assert len(run.asked) == 6


def test_mistakes_end_with_2_before_anything_is_made(tmp_path, capsys):
    home = tmp_path / "home"
    assert main(home, "--model", "hydar", "--mode", "eagre") == 2
    assert capsys.readouterr().err.count("error: ") == 2
    assert main(home) == 2
    assert not home.exists()


def test_a_trial_that_the_study_lost_is_told(whole_sweep, run, capsys):
    (whole_sweep.folder / "trials" / "00099-abcdef00").mkdir()
    assert main(whole_sweep.home, "small", "--trial", "00099-abcdef00") == 6
    assert "python -m search.verify" in capsys.readouterr().err
    assert not run.asked


def test_a_sweep_in_use_is_left_alone(whole_sweep, run, hold_lock):
    hold_lock(whole_sweep.folder)
    assert main(whole_sweep.home, "small") == 3
    assert not run.asked


def test_a_home_that_cannot_be_made_is_told(tmp_path, run, capsys):
    (tmp_path / "file").write_text("")
    assert main(tmp_path / "file", *MODEL) == 6
    assert "error: " in capsys.readouterr().err
    assert not run.asked or len(run.asked) == 1


def test_here_names_the_device():
    way = here("cpu")
    assert way.device.startswith("cpu: ")
    conditions = way.conditions(0.5)
    assert (conditions.timing_seconds, conditions.device) == (0.5, way.device)
    assert conditions.versions.keys() >= {"torch", "python"}
    with pytest.raises(ValueError, match="'tpu' is unknown"):
        here("tpu")

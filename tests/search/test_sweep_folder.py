"""What lies where in a sweep's folder; the names are on disks already."""

from search.sweep_folder import SweepFolder, sweeps
from trainables.home import Home


def test_the_files_of_a_sweep(tmp_path):
    folder = SweepFolder.of(Home(tmp_path), "s")
    files = {
        "plan.json": folder.plan,
        "study.db": folder.study,
        "study.db.good": folder.study_copy,
        "trials": folder.trials,
        "stages": folder.stages,
        "lock": folder.lock,
        "log.txt": folder.log,
        "ray": folder.ray,
    }
    assert all(path == tmp_path / "s" / name for name, path in files.items())


def test_the_files_of_a_trial(tmp_path):
    folder = SweepFolder(tmp_path)
    assert folder.trial_keys() == set()
    trial = folder.trial("00000-a")
    trial.path.mkdir(parents=True)
    assert folder.trial_keys() == {"00000-a"}
    files = {
        "config.json": trial.config,
        "provenance.json": trial.provenance,
        "metrics.jsonl": trial.metrics,
        "attempts.jsonl": trial.attempts,
        "confusion.json": trial.confusion,
        "checkpoints": trial.checkpoints,
        "best/weights": trial.best,
        "stages": trial.stages,
    }
    assert all(path == tmp_path / "trials" / "00000-a" / name for name, path in files.items())


def test_sweeps_are_the_folders_with_a_plan(tmp_path):
    for name in ("b", "a", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}")
    (tmp_path / "c").mkdir()
    assert sweeps(Home(tmp_path)) == ["a", "b"]
    assert sweeps(Home(tmp_path / "missing")) == []

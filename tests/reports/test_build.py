"""The command: which sweeps it reports, what it writes, how it ends."""

import pyarrow.parquet as pq

from reports.build import build, main
from trainables.home import Home


def test_parquet_holds_the_tables(report, tables):
    for name, table in zip(("trials", "curves"), tables, strict=True):
        assert pq.read_table(report.parent / f"{name}.parquet").equals(table)
    assert not list(report.parent.glob("*.part"))


def test_the_command_reports_the_newest_sweep(home, tmp_path, capsys):
    assert main(["--home", str(home), "--out", str(tmp_path)]) == 0
    assert "digits-first" in capsys.readouterr().out
    assert (tmp_path / "digits-first" / "report.html").is_file()


def test_a_sweep_without_trials_has_a_report(home, tmp_path):
    report = build(Home(home), "digits-empty", out=tmp_path)
    assert "Trials: none." in report.read_text("utf-8")
    assert pq.read_table(report.parent / "trials.parquet").num_rows == 0


def test_bad_requests_exit_with_2(home, tmp_path, capsys):
    assert main(["digits-frst", "--home", str(home)]) == 2
    assert "did you mean 'digits-first'" in capsys.readouterr().err
    assert main(["--home", str(tmp_path / "nowhere")]) == 2
    assert "no MLflow database at" in capsys.readouterr().err


def test_broken_storage_exits_with_6(home, tmp_path, capsys):
    (tmp_path / "mlflow.db").write_text("this is no database, and it is long enough to tell")
    assert main(["--home", str(tmp_path)]) == 6
    assert "storage: " in capsys.readouterr().err
    assert main(["digits-first", "--home", str(home), "--out", str(tmp_path / "mlflow.db")]) == 6

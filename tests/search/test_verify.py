"""Study, folders and MLflow: what agrees passes, and every single fault is named."""

import dataclasses
import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from search import verify
from search.costs import Costs
from search.measuring import Measuring
from search.projection import runs_of_trials
from search.record import State
from tests.trainables.efficiency_answer import answer
from trainables import records, trial_log
from trainables.home import Home
from trainables.trial_folder import TrialFolder


def check(made, *arguments):
    return verify.main([*arguments, "--home", str(made.home)])


def key_of(made, state):
    (key,) = (record.key for record in made.study().accepted if record.state == state)
    return key


def run_of(made, key):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    (run,) = (
        r
        for r in runs_of_trials(made.client, experiment, "small")
        if r.data.tags["trial_key"] == key
    )
    return run


def log_of(made, key):
    return made.folder / "trials" / key / "metrics.jsonl"


def test_a_whole_sweep_agrees(whole_sweep, capsys):
    assert check(whole_sweep) == 0
    told = capsys.readouterr().out
    assert "small: 4 trials (" in told
    for count in ("1 complete", "1 stopped", "1 failed", "1 infeasible", "0 repeated epochs"):
        assert count in told
    assert "study, folders and MLflow agree" in told
    assert check(whole_sweep, "small") == 0


def lose_a_run(made):
    key = key_of(made, State.STOPPED)
    made.client.delete_run(run_of(made, key).info.run_id)
    return f"{key}: 0 MLflow runs"


def make_a_second_run(made):
    key = key_of(made, State.COMPLETE)
    run = run_of(made, key)
    made.client.create_run(run.info.experiment_id, tags=run.data.tags)
    return f"{key}: 2 MLflow runs"


def make_an_unknown_run(made):
    run = run_of(made, key_of(made, State.COMPLETE))
    tags = run.data.tags | {"trial_key": "00099-abcdef00"}
    made.client.create_run(run.info.experiment_id, tags=tags)
    return "00099-abcdef00: a run the study does not know"


def make_an_unknown_folder(made):
    (made.folder / "trials" / "00099-abcdef00").mkdir()
    return "00099-abcdef00: a folder the study does not know"


def forget_the_end_of_a_run(made):
    key = key_of(made, State.FAILED)
    made.client.update_run(run_of(made, key).info.run_id, status="RUNNING")
    return f"{key}: failed in the study, RUNNING in MLflow"


def lose_an_epoch_in_mlflow(made):
    key = key_of(made, State.COMPLETE)
    log = log_of(made, key)
    lines = records.scan(log).sound
    middle = {**lines[1], "epoch": 3, "done": False}
    records.replace_lines(log, [*lines[:2], middle, {**lines[2], "epoch": 4}])
    return f"{key}: train_loss has steps [1, 2, 3] in MLflow"


def say_an_epoch_twice_in_mlflow(made):
    key = key_of(made, State.COMPLETE)
    made.client.log_metric(run_of(made, key).info.run_id, "valid_top1", 0.75, step=2)
    return f"{key}: valid_top1 has steps [1, 2, 2, 3] in MLflow"


def change_a_value(made):
    key = key_of(made, State.STOPPED)
    lines = records.scan(log_of(made, key)).sound
    records.replace_lines(log_of(made, key), [{**lines[0], "train_loss": 0.125}])
    return f"{key}: train_loss has other values in MLflow than in its folder"


def lose_an_epoch_in_the_folder(made):
    key = key_of(made, State.COMPLETE)
    lines = records.scan(log_of(made, key)).sound
    records.replace_lines(log_of(made, key), [lines[0], lines[2]])
    return f"{key}: the epochs of metrics.jsonl are [1, 3]"


def lose_the_log(made):
    key = key_of(made, State.COMPLETE)
    log_of(made, key).unlink()
    return f"{key}: complete in the study, but its folder has no final line"


def lose_a_stopped_folder(made):
    key = key_of(made, State.STOPPED)
    shutil.rmtree(made.folder / "trials" / key)
    return f"{key}: the study knows epoch 1, the folder does not"


def damage_the_best_weights(made):
    key = key_of(made, State.COMPLETE)
    file = made.folder / "trials" / key / "best" / "weights" / "state.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return "weights: its sha256 is not the one that was written"


def repeat_epochs(made):
    key = key_of(made, State.COMPLETE)
    attempts = made.folder / "trials" / key / "attempts.jsonl"
    for _ in range(2):
        records.append_line(attempts, {"event": "epoch", "epoch": 2}, sync=False)
    return f"{key}: 2 epochs repeated in 0 restarts"


def leave_a_trial_running(made):
    made.plan = dataclasses.replace(made.plan, trials=5)
    study = made.study()
    record = made.train(study, [0.5], State.RUNNING)
    made.projection().trial(record)
    return f"{record.key}: still running in the study; --resume finishes the sweep"


def leave_a_trial_paused(made):
    made.plan = dataclasses.replace(made.plan, trials=5, pruner="pause-halving")
    study = made.study()
    record = made.train(study, [0.5], State.RUNNING)
    made.projection().trial(record)
    assert record.state == State.PAUSED
    return f"{record.key}: still paused in the study; --resume finishes the sweep"


def train_a_configuration_twice(made):
    study = made.study()
    first = next(record for record in study.accepted if record.state == State.COMPLETE)
    again = study._study.ask()
    attributes = {"params": first.params, "trained": True, "trial_key": "00099-abcdef00"}
    for name, value in (attributes | {"reason": "", "state": "failed"}).items():
        again.set_user_attr(name, value)
    study._study.tell(again, state=verify_states()[State.FAILED])
    made.project(made.study())
    return "trained 2 times: "


def verify_states():
    from search.sampling import OUTCOMES

    return OUTCOMES


def in_study(made, statement, *values):
    """Change the study behind everybody's back."""
    with closing(sqlite3.connect(made.folder / "study.db")) as connection:
        changed = connection.execute(statement, values).rowcount
        connection.commit()
    assert changed >= 1


def change_the_best_value_in_the_study(made):
    in_study(made, "UPDATE trial_values SET value = 0.875")
    return f"{key_of(made, State.COMPLETE)}: best_valid_top1 is 0.875 in the study, 0.75 in its"


def change_an_epoch_in_the_study(made):
    query = "UPDATE trial_intermediate_values SET intermediate_value = 0.5 WHERE step = 2"
    in_study(made, query)
    return f"{key_of(made, State.COMPLETE)}: valid_top1 of epoch 2 is 0.5 in the study, 0.75 in its"


def change_a_parameter_in_the_study(made):
    key = key_of(made, State.STOPPED)
    (record,) = (record for record in made.study().accepted if record.key == key)
    params = json.dumps(record.params | {"lr": 0.25})
    query = "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'params'"
    in_study(made, f"{query} AND trial_id = {record.number + 1}", params)
    return f"{key}: lr is {record.params['lr']} and 0.25 in the study"


def change_a_drawn_parameter_in_the_study(made):
    in_study(made, "UPDATE trial_params SET param_value = 0.5 WHERE param_name = 'lr'")
    return f"{key_of(made, State.FAILED)}: lr is 0.5 and "


def change_a_reason_in_the_study(made):
    query = "UPDATE trial_user_attributes SET value_json = '\"none\"' WHERE key = 'reason'"
    in_study(made, query)
    return f"{key_of(made, State.INFEASIBLE)}: its reason in the study is not that of its folder"


def rewritten(log, number, change):
    """Change a line of a log as somebody with an editor does."""
    lines = log.read_bytes().splitlines(keepends=True)
    changed = change(lines[number - 1])
    assert changed != lines[number - 1]
    lines[number - 1] = changed
    log.write_bytes(b"".join(lines))
    return f"{log}, line {number} is damaged"


def change_the_test_accuracy(made):
    log = log_of(made, key_of(made, State.COMPLETE))
    return rewritten(
        log, 3, lambda line: line.replace(b'"test_top1": 0.625', b'"test_top1": 0.875')
    )


def change_the_test_accuracy_with_its_digest(made):
    key = key_of(made, State.COMPLETE)
    lines = records.scan(log_of(made, key)).sound
    records.replace_lines(log_of(made, key), [*lines[:2], lines[2] | {"test_top1": 0.875}])
    return f"{key}: the metric test_top1 is 0.625 in MLflow and must be 0.875"


def damage_a_line(made):
    log = log_of(made, key_of(made, State.COMPLETE))
    return rewritten(log, 2, lambda line: b"\xff\x00" + line[2:])


def damage_an_attempt(made):
    log = made.folder / "trials" / key_of(made, State.STOPPED) / "attempts.jsonl"
    return rewritten(log, 1, lambda line: line[:20] + b"\n")


def damage_an_attempt_of_an_earlier_version(made):
    log = made.folder / "trials" / key_of(made, State.STOPPED) / "attempts.jsonl"
    return rewritten(log, 1, lambda _: b'{"event": "epoch"}\n')


def damage_a_measurement(made):
    (made.home / "measurements.jsonl").write_text("no JSON\n")
    return f"{made.home / 'measurements.jsonl'}, line 1 is damaged"


def measure_what_nothing_measured(made):
    key = key_of(made, State.STOPPED)
    made.client.log_metric(run_of(made, key).info.run_id, "latency_ms", 0.5, step=0)
    return f"{key}: latency_ms is 0.5 in MLflow, which no measurement has"


def spoil_the_confusions(made):
    key = key_of(made, State.COMPLETE)
    (made.folder / "trials" / key / "confusion.json").write_text("garbage")
    return f"{key}: confusion.json cannot be read"


def change_the_confusions(made):
    """Sound, but not what was written: the last line has its sha256."""
    key = key_of(made, State.COMPLETE)
    folder = TrialFolder(made.folder / "trials" / key)
    *lines, last = trial_log.read(folder.metrics)
    lines.append(dataclasses.replace(last, files=folder.digests()))
    trial_log.replace(folder.metrics, lines)
    assert check(made) == 0
    records.replace_json(folder.confusion, {"valid": [[0, 1], [0, 1]]})
    return f"{key}: confusion.json is not what was written"


def change_a_configuration(made):
    key = key_of(made, State.FAILED)
    records.replace_json(made.folder / "trials" / key / "config.json", {"epochs": 99})
    return f"{key}: epochs is 3 in the study, 99 in config.json"


def change_a_parameter_in_mlflow(made):
    key = key_of(made, State.COMPLETE)
    with closing(sqlite3.connect(made.home / "mlflow.db")) as connection:
        connection.execute("UPDATE params SET value = '0.25' WHERE key = 'lr'")
        connection.commit()
    return f"{key}: the parameter lr is '0.25' in MLflow"


def change_another_curve_in_mlflow(made):
    with closing(sqlite3.connect(made.home / "mlflow.db")) as connection:
        connection.execute("UPDATE metrics SET value = 0.5 WHERE key = 'valid_macro_f1'")
        connection.commit()
    return f"{key_of(made, State.COMPLETE)}: valid_macro_f1 has other values in MLflow"


def lose_the_parent(made):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    for run in made.client.search_runs([experiment], "tags.kind = 'sweep'"):
        made.client.delete_run(run.info.run_id)
    return "0 MLflow runs of the sweep itself"


def lose_the_experiment(made):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    made.client.delete_experiment(experiment)
    return "MLflow has no experiment 'linformer'"


def forget_the_end_of_the_sweep(made):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    (parent,) = made.client.search_runs([experiment], "tags.kind = 'sweep'")
    made.client.update_run(parent.info.run_id, status="RUNNING")
    return "the sweep has ended, its run in MLflow is RUNNING"


FAULTS = [
    change_the_best_value_in_the_study,
    change_an_epoch_in_the_study,
    change_a_parameter_in_the_study,
    change_a_drawn_parameter_in_the_study,
    change_a_reason_in_the_study,
    change_the_test_accuracy,
    change_the_test_accuracy_with_its_digest,
    damage_a_line,
    damage_an_attempt,
    damage_an_attempt_of_an_earlier_version,
    damage_a_measurement,
    measure_what_nothing_measured,
    spoil_the_confusions,
    change_the_confusions,
    change_a_configuration,
    change_a_parameter_in_mlflow,
    change_another_curve_in_mlflow,
    forget_the_end_of_the_sweep,
    lose_the_parent,
    lose_the_experiment,
    lose_a_run,
    make_a_second_run,
    make_an_unknown_run,
    make_an_unknown_folder,
    forget_the_end_of_a_run,
    lose_an_epoch_in_mlflow,
    say_an_epoch_twice_in_mlflow,
    change_a_value,
    lose_an_epoch_in_the_folder,
    lose_the_log,
    lose_a_stopped_folder,
    damage_the_best_weights,
    repeat_epochs,
    leave_a_trial_running,
    leave_a_trial_paused,
    train_a_configuration_twice,
]


@pytest.mark.slow
@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_fault_is_named(whole_sweep, capsys, plant):
    expected = plant(whole_sweep)
    assert check(whole_sweep) == 1
    told = capsys.readouterr().out
    assert expected in told
    assert "small: they do not agree" in told


IN_MLFLOW = [
    lose_a_run,
    make_a_second_run,
    make_an_unknown_run,
    forget_the_end_of_a_run,
    say_an_epoch_twice_in_mlflow,
    measure_what_nothing_measured,
    change_a_parameter_in_mlflow,
    change_another_curve_in_mlflow,
    forget_the_end_of_the_sweep,
    lose_the_parent,
    lose_the_experiment,
]


@pytest.mark.slow
@pytest.mark.parametrize("plant", IN_MLFLOW, ids=lambda plant: plant.__name__)
def test_what_is_wrong_in_mlflow_alone_is_rebuilt(whole_sweep, capsys, plant):
    plant(whole_sweep)
    assert check(whole_sweep, "--rebuild") == 0, capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("plant", [damage_a_line, change_the_test_accuracy])
def test_a_rebuild_leaves_the_run_whose_folder_is_damaged(whole_sweep, plant):
    plant(whole_sweep)
    before = run_of(whole_sweep, key_of(whole_sweep, State.COMPLETE))
    assert check(whole_sweep, "--rebuild") == 1
    after = run_of(whole_sweep, key_of(whole_sweep, State.COMPLETE))
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics == before.data.metrics


def test_a_restart_may_repeat_one_epoch(whole_sweep, capsys):
    key = key_of(whole_sweep, State.COMPLETE)
    attempts = whole_sweep.folder / "trials" / key / "attempts.jsonl"
    records.append_line(attempts, {"event": "open", "epoch": 1}, sync=False)
    records.append_line(attempts, {"event": "epoch", "epoch": 2}, sync=False)
    assert check(whole_sweep, "--rebuild") == 0, "what its time cost is written again"
    assert "1 repeated epochs, 1 restarts" in capsys.readouterr().out


def test_mlflow_is_rebuilt(whole_sweep, mlflow_db, capsys):
    shutil.copy(mlflow_db, whole_sweep.home)  # as good as deleted, without seconds to make it
    assert check(whole_sweep) == 1
    assert "0 MLflow runs" in capsys.readouterr().out
    assert check(whole_sweep, "--rebuild") == 0
    assert check(whole_sweep) == 0
    run = run_of(whole_sweep, key_of(whole_sweep, State.COMPLETE))
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_measured_costs_are_rebuilt_from_the_home_alone(trained_sweep, mlflow_db):
    study = trained_sweep.study()
    way = Measuring(lambda *_, **__: answer(), "cuda: a GPU that is elsewhere")
    measured = Costs(Home(trained_sweep.home), trained_sweep.plan, way)
    measured.measure(study.accepted, lambda _done, _total: None)
    measured.publish(study.accepted, trained_sweep.projection())

    def costs():
        run = run_of(trained_sweep, study.accepted[0].key)
        experiment = run.info.experiment_id
        (model,) = trained_sweep.client.search_logged_models([experiment])
        points = {(p.dataset_name, p.dataset_digest, p.key, p.value) for p in model.metrics}
        tags = {name: text for name, text in run.data.tags.items() if "efficiency" in name}
        return run.data.metrics, tags, points, model.name, model.params

    before = costs()
    assert before[0]["latency_ms"] == 2.0
    shutil.copy(mlflow_db, trained_sweep.home)
    assert check(trained_sweep, "--rebuild") == 0
    assert costs() == before
    assert check(trained_sweep, "--rebuild") == 0
    assert costs() == before


def move_mlflow_away(made):
    (made.home / "mlflow.db").unlink()


def take_an_older_mlflow(made):
    with closing(sqlite3.connect(made.home / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'cc1f77228345'")


def spoil_mlflow(made):
    (made.home / "mlflow.db").write_bytes(b"no database" * 100)


@pytest.mark.parametrize("lose", [move_mlflow_away, take_an_older_mlflow, spoil_mlflow])
def test_without_mlflow_the_other_two_are_compared(whole_sweep, capsys, lose):
    lose(whole_sweep)
    here = sorted(whole_sweep.home.iterdir())
    assert check(whole_sweep) == 6
    said = capsys.readouterr()
    assert "small: study and folders agree" in said.out
    assert "error: small: MLflow is not compared: " in said.err
    change_the_test_accuracy(whole_sweep)
    assert check(whole_sweep) == 6
    assert "they do not agree" in capsys.readouterr().out
    assert sorted(whole_sweep.home.iterdir()) == here, "nothing is made"


def test_a_server_that_is_away(whole_sweep, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert check(whole_sweep) == 6
    said = capsys.readouterr()
    assert "small: study and folders agree" in said.out
    assert "MLflow is not compared" in said.err


@pytest.mark.slow
def test_a_deleted_database_is_made_again(whole_sweep):
    (whole_sweep.home / "mlflow.db").unlink()
    assert check(whole_sweep, "--rebuild") == 0


def test_an_unknown_sweep(whole_sweep, capsys):
    assert check(whole_sweep, "smal") == 2
    told = capsys.readouterr().err
    assert "no sweep 'smal'" in told
    assert "did you mean 'small'?" in told


def test_a_home_without_sweeps(tmp_path, capsys):
    assert verify.main(["--home", str(tmp_path / "nowhere")]) == 2
    assert "no sweep in" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_sweep_at_work(whole_sweep, hold_lock, capsys):
    owner = hold_lock(whole_sweep.folder)
    assert check(whole_sweep) == 3
    assert f'"pid": {owner.pid}' in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["garbage", "missing"])
def test_a_study_that_cannot_be_read(whole_sweep, capsys, damage):
    for file in whole_sweep.folder.glob("study.db*"):
        file.unlink()
    if damage == "garbage":
        (whole_sweep.folder / "study.db").write_bytes(b"no database" * 1000)
    assert check(whole_sweep) == 6
    assert "error: " in capsys.readouterr().err
    assert (whole_sweep.folder / "study.db").exists() == (damage == "garbage"), "nothing is made"


def test_a_plan_that_cannot_be_read(whole_sweep, capsys):
    (whole_sweep.folder / "plan.json").write_text('{"sweep": ')
    assert check(whole_sweep) == 6
    assert "plan.json" in capsys.readouterr().err

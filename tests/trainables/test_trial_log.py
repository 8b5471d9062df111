"""Lines of `metrics.jsonl`: what is read is what was written, by earlier versions too."""

import json

from trainables import trial_log
from trainables.trial_log import Line

# as the version before the record wrote them
WRITTEN = """\
{"epoch": 1, "train_loss": 2.25, "train_top1": 0.125, "valid_loss": 2.0, "valid_top1": 0.25, \
"valid_top5": 0.75, "valid_macro_recall": 0.25, "valid_macro_f1": 0.2, "lr": 0.003, \
"train_seconds": 1.5, "valid_seconds": 0.5, "train_images_per_s": 28.5, "done": false, \
"notes": ["started from stage abc, validation accuracy 0.5000"], "ended_unix_s": 1764000000.25}
{"epoch": 2, "train_loss": 1.25, "train_top1": 0.5, "valid_loss": 1.5, "valid_top1": 0.5, \
"valid_top5": 1.0, "valid_macro_recall": 0.5, "valid_macro_f1": 0.5, "lr": 0.003, \
"train_seconds": 1.0, "valid_seconds": 0.5, "train_images_per_s": 43.0, "done": true, \
"train_auxiliary_loss": 0.5, "state": "complete", "best_valid_top1": 0.5, "best_epoch": 2, \
"test_loss": 1.5, "test_top1": 0.5, "test_top5": 1.0, "test_macro_recall": 0.5, \
"test_macro_f1": 0.5, "ended_unix_s": 1764000002.5}
"""
FAILED = {"epoch": 1, "done": True, "state": "failed", "reason": "nan", "ended_unix_s": 1.5}


def test_lines_of_earlier_versions_are_read_whole(tmp_path):
    (tmp_path / trial_log.FILE).write_text(WRITTEN)
    first, last = trial_log.read(tmp_path)
    assert (first.epoch, first.done, first.state, first.reason) == (1, False, None, "")
    assert first.notes == ("started from stage abc, validation accuracy 0.5000",)
    assert first.ended_unix_s == 1764000000.25
    assert (last.epoch, last.done, last.state) == (2, True, "complete")
    assert last.metrics["test_macro_f1"] == last.metrics["train_auxiliary_loss"] == 0.5
    documents = [json.loads(line) for line in WRITTEN.splitlines()]
    assert [line.document() for line in (first, last)] == documents


def test_a_line_that_ends_a_trial_is_read_as_it_was_written():
    line = Line.of(FAILED)
    assert (line.state, line.reason, line.metrics) == ("failed", "nan", {})
    assert line.document() == FAILED


def test_what_tune_adds_to_a_result_is_left_out():
    assert Line.of({**FAILED, "pid": 7, "time_total_s": 0.5, "config": {}}) == Line.of(FAILED)


def test_written_lines_are_read_back_and_a_torn_one_is_not(tmp_path):
    lines = [Line(epoch=n, metrics={"valid_top1": n / 4}, ended_unix_s=float(n)) for n in (1, 2, 3)]
    assert not trial_log.exists(tmp_path)
    for line in lines:
        trial_log.append(tmp_path, line)
    with (tmp_path / trial_log.FILE).open("a") as file:
        file.write('{"epoch": 4')
    assert trial_log.read(tmp_path) == lines
    trial_log.replace(tmp_path, lines[:1])
    assert trial_log.read(tmp_path) == lines[:1]

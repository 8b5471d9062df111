"""How subjects are measured again and again, with a run that measures nothing."""

from itertools import count

import pytest

from trainables import records
from trainables.efficiency.execution import WTTF_PROTOCOL, Setting
from trainables.efficiency.repeats import Conditions, measure_repeatedly
from trainables.efficiency.results import Results
from trainables.efficiency.subjects import Subject

CONDITIONS = Conditions(
    device="cpu: a processor", threads=2, timing_seconds=0.5, versions={"torch": "2.11"}
)
SETTINGS = (Setting("eager", "fp32"), Setting("compile", "bf16"))


def subject(depth):
    return Subject(
        model="vit", params={"depth": depth}, image_size=14, num_classes=3, label=f"vit-{depth}"
    )


class Run:
    """Stands for `measure_fresh`: notes what it is asked and answers with growing latencies."""

    def __init__(self, fails=None, stop_after=None):
        self.asked, self._fails, self._stop_after = [], fails, stop_after
        self._latencies = count(1)

    def __call__(self, model, params, **named):
        if len(self.asked) == self._stop_after:
            raise KeyboardInterrupt
        self.asked.append((model, params["depth"], named["mode"]))
        self.named = named
        if self._fails and params["depth"] == 9:
            return self._fails()
        return {"measurements": {"latency_ms": float(next(self._latencies))}}


def dying():
    raise RuntimeError("the node is gone")


def test_every_subject_in_every_setting_as_often_as_asked(tmp_path):
    run, told, results = Run(), [], Results(tmp_path)
    measure_repeatedly(
        [subject(1), subject(2)],
        results,
        run,
        CONDITIONS,
        settings=SETTINGS,
        repeats=3,
        progress=lambda *state: told.append(state),
    )
    assert len(run.asked) == 2 * 2 * 3
    assert len(set(run.asked[:4])) == 4  # all once before any a second time
    assert told == [(done, 12) for done in range(13)]
    row = results.get(CONDITIONS.of(subject(1), SETTINGS[0]))
    assert (row["repeats"], row["label"], row["latency_ms"]) == (3, "vit-1", 5.0)
    assert results.table().num_rows == 4


def test_the_run_is_told_the_subject_and_the_setting(tmp_path):
    run = Run()
    measure_repeatedly(
        [subject(1)], Results(tmp_path), run, CONDITIONS, settings=[WTTF_PROTOCOL], repeats=1
    )
    assert run.named == {
        "image_size": 14,
        "num_classes": 3,
        "threads": 2,
        "seconds": 0.5,
        "precision": "fp32",
        "training_precision": "fp16",
        "mode": "eager",
        "metrics": (),
    }


def test_what_is_there_is_not_measured_again(tmp_path):
    for repeats, asked in ((2, 4), (5, 6), (5, 0), (3, 0)):
        run = Run()
        measure_repeatedly(
            [subject(1), subject(2)],
            Results(tmp_path),
            run,
            CONDITIONS,
            settings=SETTINGS[:1],
            repeats=repeats,
        )
        assert len(run.asked) == asked


def test_an_interrupted_measuring_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        measure_repeatedly(
            [subject(1), subject(2)],
            Results(tmp_path),
            Run(stop_after=3),
            CONDITIONS,
            settings=SETTINGS[:1],
        )
    run = Run()
    measure_repeatedly(
        [subject(1), subject(2)], Results(tmp_path), run, CONDITIONS, settings=SETTINGS[:1]
    )
    assert len(run.asked) == 10 - 3
    assert set(Results(tmp_path).table()["repeats"].to_pylist()) == {5}


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        (lambda: {"error": "out of memory"}, "out of memory"),
        (dying, "RuntimeError: the node is gone"),
    ],
)
def test_a_failing_subject_is_a_row_with_its_reason(tmp_path, fails, reason):
    run, told, results = Run(fails), [], Results(tmp_path)
    again = {"settings": SETTINGS[:1], "progress": lambda *state: told.append(state)}
    measure_repeatedly([subject(9), subject(1)], results, run, CONDITIONS, **again)
    failed = results.get(CONDITIONS.of(subject(9), SETTINGS[0]))
    assert (failed["failures"], failed["latency_ms"]) == (1, None)
    assert failed["reasons"] == {"everything": reason}
    assert len(run.asked) == 1 + 5
    assert (told[1], told[-1]) == ((5, 10), (10, 10))
    measure_repeatedly([subject(9), subject(1)], results, run, CONDITIONS, **again)
    assert len(run.asked) == 1 + 5
    measure_repeatedly([subject(9)], results, Run(), CONDITIONS, **again, retry_failed=True)
    mended = results.get(CONDITIONS.of(subject(9), SETTINGS[0]))
    assert (mended["repeats"], mended["latency_ms"]) == (5, 3.0)
    assert mended["reasons"] == {"everything": f"{reason} (1 of 6 repeats)"}


def test_a_subject_named_twice_is_measured_once(tmp_path):
    run = Run()
    twice = [subject(1), subject(1)]
    measure_repeatedly(twice, Results(tmp_path), run, CONDITIONS, settings=SETTINGS[:1], repeats=2)
    assert len(run.asked) == 2


def timed(latency_ms, images_per_s):
    rates = [[1, images_per_s, images_per_s, images_per_s, 9]]
    return {"measurements": {"latency_ms": latency_ms, "throughputs": rates}}


@pytest.mark.parametrize(
    ("answers", "asked", "latency_ms", "marked"),
    [
        ([timed(10.0, 100.0)], 1, 10.0, None),
        ([timed(10.0, 250.0)], 1, 10.0, None),  # what starting a pass costs
        ([timed(10.0, 800.0), timed(2.0, 500.0)], 2, 2.0, None),
        ([timed(10.0, 800.0), timed(2.0, 5000.0)], 2, 2.0, True),
        ([timed(1.0, 2.5), timed(1.0, 2.5)], 2, 1.0, True),
        ([timed(10.0, 800.0), {"error": "gone"}], 2, 10.0, True),
    ],
)
def test_what_contradicts_itself_is_measured_again_and_then_marked(
    tmp_path, answers, asked, latency_ms, marked
):
    left, results = iter(answers), Results(tmp_path)
    calls = []

    def run(*_model, **_named):
        calls.append(1)
        return next(left)

    setting = SETTINGS[:1]
    measure_repeatedly([subject(1)], results, run, CONDITIONS, settings=setting, repeats=1)
    row = results.get(CONDITIONS.of(subject(1), SETTINGS[0]))
    assert (len(calls), row["latency_ms"], row.get("other_load")) == (asked, latency_ms, marked)


def test_an_interruption_that_was_kept_as_an_answer_is_measured_again(tmp_path):
    setting = SETTINGS[:1]
    identity = CONDITIONS.of(subject(1), SETTINGS[0])
    line = {"label": "", "identity": identity.document}
    line["answers"] = [{"error": "the measuring process was ended by SIGINT"}]
    records.append_line(tmp_path / "measurements.jsonl", line, sync=False)
    results, run = Results(tmp_path), Run()
    assert results.get(identity) is None
    measure_repeatedly([subject(1)], results, run, CONDITIONS, settings=setting, repeats=1)
    assert results.get(identity)["latency_ms"] == 1.0

"""What the command line of measuring takes, and all that it refuses at once."""

import pytest

from search import measure_request
from search.measure_request import parser
from search.request import BadRequestError
from trainables.efficiency.execution import WTTF_PROTOCOL, Setting


def read(home, *arguments):
    given = parser("").parse_args([*arguments, "--home", str(home)])
    return measure_request.read(given)


def mistakes(home, *arguments):
    with pytest.raises(BadRequestError) as error:
        read(home, *arguments)
    return error.value.mistakes


def thorough(home, *arguments):
    _, request = read(home, *arguments, "--device", "cpu")
    assert request is not None
    return request


def test_models_are_measured_five_times_in_plain_arithmetic(tmp_path):
    request = thorough(tmp_path, "--model", "Hydra-S/16")
    assert [subject.label for subject in request.models] == ["Hydra-S/16"]
    assert request.settings == [Setting()]
    assert (request.repeats, request.seconds, request.retry_failed) == (5, 2.0, False)


def test_every_mode_comes_with_every_precision_and_the_wttf_protocol_beside(tmp_path):
    arguments = ("--mode", "eager", "compile", "--precision", "fp32", "bf16", "--wttf-protocol")
    request = thorough(tmp_path, "--model", "Hydra-S/16", *arguments)
    assert request.settings == [
        Setting("eager", "fp32", "fp32"),
        Setting("eager", "bf16", "bf16"),
        Setting("compile", "fp32", "fp32"),
        Setting("compile", "bf16", "bf16"),
        WTTF_PROTOCOL,
    ]


def test_a_variant_takes_settings_sizes_and_numbers(tmp_path):
    arguments = ("--set", "depth=2", "--image-size", "32", "64", "--repeats", "3")
    request = thorough(tmp_path, "--model", "vit", *arguments, "--seconds", "0.5")
    assert [s.image_size for s in request.models] == [32, 64]
    assert {s.params["depth"] for s in request.models} == {2}
    assert (request.repeats, request.seconds) == (3, 0.5)


def test_a_sweep_alone_is_measured_as_ever(whole_sweep):
    assert read(whole_sweep.home, "small")[1] is None
    assert read(whole_sweep.home)[1] is None


def test_a_trial_is_one_of_its_sweep(whole_sweep):
    key = whole_sweep.study().trained[0].key
    request = thorough(whole_sweep.home, "small", "--trial", key, key)
    assert (request.trials, request.models, request.image_sizes) == ([key], [], [])
    (wrong,) = mistakes(whole_sweep.home, "small", "--trial", f"{key}x")
    assert wrong == f"--trial: small has no '{key}x'; did you mean {key!r}?"
    (wrong,) = mistakes(whole_sweep.home, "smal", "--trial", key)
    assert "did you mean 'small'?" in wrong
    assert mistakes(whole_sweep.home, "--trial", key) == [
        "--trial needs the name of one sweep, given 0"
    ]


def test_all_mistakes_are_told_at_once(tmp_path):
    wrong = mistakes(
        tmp_path,
        *("--model", "hydar", "--set", "depth", "--image-size", "1.5", "--repeats", "0"),
        *("--seconds", "nan", "--device", "tpu", "--precision", "fp23", "--mode", "compiel"),
    )
    text = "\n".join(wrong)
    assert len(wrong) == 8
    for part in (
        "unknown 'hydar'; did you mean 'hydra'?",
        "--set: 'depth' is not name=value",
        "--image-size must be whole numbers of at least 1, given '1.5'",
        "--repeats must be whole numbers of at least 1, given '0'",
        "--seconds must be a number above 0, given 'nan'",
        "--device: device 'tpu' is unknown",
        "--precision has no 'fp23'; did you mean",
        "--mode has no 'compiel'; did you mean 'compile'?",
    ):
        assert part in text


def test_options_of_thorough_measuring_need_a_subject(whole_sweep):
    wrong = mistakes(whole_sweep.home, "small", "--repeats", "3", "--set", "depth=2")
    assert wrong == [
        f"{option} needs --model NAME, or SWEEP --trial KEY" for option in ("--repeats", "--set")
    ]


def test_a_sweep_beside_a_model_needs_trials(whole_sweep):
    (wrong,) = mistakes(whole_sweep.home, "small", "--model", "vit")
    assert "name trials with --trial KEY" in wrong


def test_a_trial_takes_no_settings(whole_sweep):
    key = whole_sweep.study().trained[0].key
    (wrong,) = mistakes(whole_sweep.home, "small", "--trial", key, "--set", "depth=2")
    assert wrong == "--set needs --model NAME; a trial has its parameters"

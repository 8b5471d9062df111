"""What a user may name to have it measured."""

import pytest
import torch

from trainables import models
from trainables.efficiency.subjects import (
    GALAXY_CLASSES,
    IMAGENET_CLASSES,
    SubjectError,
    architecture,
    parse,
)


def mistakes(*args, **kwargs):
    with pytest.raises(SubjectError) as error:
        parse(*args, **kwargs)
    assert str(error.value) == "\n".join(error.value.mistakes)
    return error.value.mistakes


def test_a_published_row_is_measured_as_it_was_published():
    (subject,) = parse(["Hydra-S/16"])
    assert (subject.model, subject.label) == ("hydra", "Hydra-S/16")
    assert (subject.image_size, subject.num_classes) == (224, IMAGENET_CLASSES)
    assert subject.params == architecture(models.published("hydra")["Hydra-S/16"])


def test_a_variant_takes_settings_over_its_row_of_wttf():
    plain = parse(["linformer"])
    small = parse(["linformer"], {"depth": 2, "dim": 96, "heads": 3, "lr": 1e-3})
    assert plain[0].label == "Linformer-S/16"
    assert small[0].params == {**plain[0].params, "depth": 2, "dim": 96, "heads": 3}
    assert small[0].label == "linformer depth=2 dim=96 heads=3 lr=0.001"
    assert parse(["linformer", "Linformer-S/16"]) == plain


def test_settings_are_for_variants_and_leave_rows_alone():
    changed, row = parse(["hydra", "Hydra-S/16"], {"depth": 2})
    assert (changed.params["depth"], row.params["depth"]) == (2, 12)


def test_patch_and_grid_replace_each_other():
    (subject,) = parse(["vit"], {"grid": 7}, image_sizes=(56,))
    assert subject.params["grid"] == 7
    assert "patch" not in subject.params


def test_a_run_that_two_variants_have_is_named_with_its_variant():
    (wrong,) = mistakes(["121021"])
    assert "linformer:121021" in wrong
    (subject,) = parse(["linformer:121021"])
    assert (subject.model, subject.num_classes) == ("linformer", GALAXY_CLASSES)
    assert parse(["102721"])[0].label == "vit:102721"


def test_all_is_every_published_architecture_once():
    subjects = parse(["all", "Hydra-S/16"])
    published = {name for name in models.names() if models.published(name)}
    assert {subject.model for subject in subjects} == published
    assert all(subject not in subjects[:n] for n, subject in enumerate(subjects))
    assert {"Swin-S-W/7/4", "Hi ViT-Ti/16"} <= {subject.label for subject in subjects}
    assert len(parse(["all"], image_sizes=(224, 384))) == 2 * len(subjects)


def test_a_variant_that_is_published_nowhere_is_measured_as_it_is_set(monkeypatch):
    known = models.published
    monkeypatch.setattr(models, "published", lambda name: {} if name == "hydra" else known(name))
    settings = {"depth": 1, "dim": 32, "heads": 2, "grid": 14}
    (subject,) = parse(["hydra"], settings)
    assert (subject.model, subject.params, subject.num_classes) == ("hydra", settings, 1000)
    with pytest.raises(SubjectError, match="depth"):
        parse(["hydra"])


def test_sizes_and_classes_are_the_users():
    found = parse(["FNet-S/16"], image_sizes=(192, 224), num_classes=10)
    assert [(subject.image_size, subject.num_classes) for subject in found] == [
        (192, 10),
        (224, 10),
    ]


def test_what_a_subject_names_can_be_built():
    (subject,) = parse(["nystromformer"], {"depth": 1})
    with torch.device("meta"):
        models.build(subject.model, subject.params, image_size=224, num_classes=1000)


def test_all_mistakes_are_told_at_once_with_the_nearest_name():
    wrong = mistakes(
        ["hydar", "hydra-S/16", "vit"], {"dept": 3}, image_sizes=(224, 0), num_classes=0
    )
    text = "\n".join(wrong)
    assert len(wrong) == 5
    assert "unknown 'hydar'; did you mean 'hydra'?" in text
    assert "did you mean 'Hydra-S/16'?" in text
    assert "did you mean 'depth'?" in text
    assert "an image size must be positive, given 0" in text
    assert "number of classes must be positive, given 0" in text


def test_settings_that_do_not_fit_are_a_mistake():
    (wrong,) = mistakes(["vit"], {"patch": 9})
    assert wrong.startswith("vit patch=9 at 224 px: ")


def test_settings_without_a_variant_are_a_mistake():
    assert mistakes(["Hydra-S/16"], {"depth": 2}) == [
        "settings need a variant, given depth with none"
    ]


def test_nothing_named_is_a_mistake():
    assert "nothing to measure" in mistakes([])[0]

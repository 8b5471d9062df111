"""Every row of Table 6 is met, to the digits that are printed."""

import pytest
import torch

import spaces
from spaces.published import table6_corrected
from trainables import models
from trainables.efficiency import published
from trainables.efficiency.published import Row, main, rows

pytestmark = pytest.mark.usefixtures("one_thread")
# reported as failed by WTTF, so without a row
UNPRINTED = {"avit", "gtp", "halonet", "hivit", "linear_transformer", "performer", "reformer"}
# the galaxy paper's, all of whose rows are columns of its own tables
OF_GALAXY = {"vit_base"}


def test_every_row_belongs_to_a_model():
    ours = {row for name in models.names() for row in models.published(name)}
    assert {row["model"] for row in table6_corrected()} <= ours


# few, and each of another kind; the others are slow
QUICK = ("fnet", "gfnet", "hydra", "linformer", "synthesizer_fr")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in models.names()],
)
def test_rows_at_224_px(name):
    found = list(rows([name], image_sizes=(224,)))
    if not models.published(name):
        pytest.skip("it is published nowhere")
    assert found or name in OF_GALAXY
    expected = "within its known 1.5 %" if name == "xcit" else "agrees"
    expected = "not printed" if name in UNPRINTED else expected
    assert {row.verdict for row in found} <= {expected}, found


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_rows_at_larger_images(name):
    found = [row for row in rows([name], image_sizes=(382, 384)) if row.address]
    assert all(row.verdict in ("agrees", "within its known 1.5 %") for row in found), found


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in models.names() if name not in UNPRINTED])
def test_the_first_point_of_a_space_is_the_published_architecture(name):
    space = spaces.load(name)
    point = next((p for p in space.published if p.data == "ImageNet-1k"), None)
    if point is None:
        pytest.skip("its points are those of the galaxy paper")
    params = {**space.fixed, **point.params}
    with torch.device("meta"):
        model = models.build(name, params, image_size=224, num_classes=1000)
    count = sum(p.numel() for p in model.parameters())
    assert count / 1e6 == pytest.approx(point.results["params"] / 1e6, abs=0.0101)


def row(**changes) -> Row:
    given = {"variant": "v", "model": "m", "address": "a", "image_size": 224}
    counted = {"params": 22_059_496, "gflops": 4.656}
    printed = {"printed_params_m": 22.06, "printed_gflops": 4.66}
    return Row(**(given | counted | printed | changes))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "agrees"),
        ({"printed_params_m": 22.07}, "agrees"),
        ({"printed_params_m": 22.08}, "DIFFERS"),
        ({"printed_gflops": 4.64}, "agrees"),
        ({"printed_gflops": 4.63}, "DIFFERS"),
        ({"printed_params_m": None, "printed_gflops": None}, "not printed"),
    ],
)
def test_verdicts(changes, verdict):
    assert row(**changes).verdict == verdict


def test_the_table_and_its_exit_code(capsys, monkeypatch):
    monkeypatch.setattr(published, "rows", lambda _: [row(), row(printed_gflops=3.0)])
    assert main([]) == 1
    text = capsys.readouterr().out
    assert "22.0595" in text
    assert "DIFFERS" in text
    monkeypatch.setattr(published, "rows", lambda _: [row()])
    assert main(["hydra"]) == 0


def test_an_unknown_variant_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["hydar"])
    assert ended.value.code == 2
    assert "unknown: hydar" in capsys.readouterr().err

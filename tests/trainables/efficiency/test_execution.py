import contextlib
from functools import partial

import pytest
import torch
from torch import nn

from trainables.efficiency import arithmetic as arithmetic_module
from trainables.efficiency import execution
from trainables.efficiency.arithmetic import PRECISIONS, arithmetic
from trainables.efficiency.execution import WTTF_PROTOCOL, Setting, running, training
from trainables.efficiency.unmeasurable import UnmeasurableError
from trainables.shortage import out_of_memory

CPU = torch.device("cpu")
IMAGES = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def small() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.Dropout(0.5), nn.GELU())


def state() -> list[object]:
    """All that PyTorch tells about its fp32 arithmetic, in both generations of the settings."""
    backends = torch.backends
    new = [backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn]
    return [
        *(operator.fp32_precision for operator in new),
        torch.get_float32_matmul_precision(),
        backends.cuda.matmul.allow_tf32,
        backends.cudnn.allow_tf32,
    ]


@pytest.fixture
def ampere(monkeypatch):
    """Every device passes for one that has all precisions."""
    monkeypatch.setattr(arithmetic_module, "_require", lambda _device, _precision: None)


@pytest.fixture
def quick_compiler(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_precisions_on_the_cpu(precision):
    model = small()
    with torch.inference_mode():
        expected = model.eval()(IMAGES)
    with running(model.train(), Setting(precision=precision), IMAGES) as forward:
        logits = forward(IMAGES)
        assert not model.training
    assert logits.dtype == arithmetic_module._HALF.get(precision, torch.float32)
    tolerance = {"rtol": 0, "atol": 0} if precision == "fp32" else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(logits.float(), expected, **tolerance)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.usefixtures("ampere")
def test_everything_set_is_restored(precision, fails):
    model = small().train()
    model[2].eval()
    before = state()
    expected = pytest.raises(KeyError) if fails else contextlib.nullcontext()
    with expected, running(model, Setting(precision=precision), IMAGES):
        assert state()[0] == ("tf32" if precision == "tf32" else "ieee")
        assert state()[-2:] == [precision == "tf32"] * 2
        assert torch.is_inference_mode_enabled()
        if fails:
            raise KeyError
    assert state() == before
    assert not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")
    assert [module.training for module in model] == [True, True, False, True]


@pytest.mark.parametrize("chosen", ["medium", "high"])
def test_an_earlier_choice_of_arithmetic_comes_back(chosen):
    pristine = [torch.backends.cuda.matmul.fp32_precision, torch.get_float32_matmul_precision()]
    torch.set_float32_matmul_precision(chosen)
    before = state()
    try:
        with arithmetic(CPU, "fp32"):
            assert state() != before
        assert state() == before
    finally:
        torch.set_float32_matmul_precision(pristine[1])
        for operator in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul):
            operator.fp32_precision = pristine[0]


def test_a_training_step_under_autocast_keeps_gradients_in_fp32():
    model = small()
    with arithmetic(CPU, WTTF_PROTOCOL.training_precision) as autocast:
        with autocast():
            logits = model(IMAGES)
        logits.float().sum().backward()
    assert logits.dtype == torch.float16
    assert model[1].weight.grad.dtype == torch.float32


def test_a_step_trains_in_its_precision_and_leaves_no_gradients():
    model, seen = small().eval(), []
    model[1].register_forward_hook(lambda _module, _images, logits: seen.append(logits.dtype))
    weights, before = model[1].weight.clone(), state()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with torch.no_grad(), training(model, "bf16", CPU, optimizer) as step:
        step(IMAGES)
        assert model.training
    assert seen == [torch.bfloat16]
    assert not torch.equal(model[1].weight, weights)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert state() == before


@pytest.mark.parametrize(
    ("setting", "reason"),
    [(Setting(precision="tf32"), "no tf32 arithmetic"), (Setting("cuda_graph"), "a CUDA device")],
)
def test_what_a_cpu_cannot_do_has_a_reason(setting, reason):
    with pytest.raises(UnmeasurableError, match=reason), running(small(), setting, IMAGES):
        pass


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_what_an_old_gpu_cannot_do_has_a_reason(monkeypatch, precision):
    monkeypatch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: False)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation
    )
    with (
        pytest.raises(UnmeasurableError, match=f"Tesla T4 has no {precision}"),
        arithmetic(torch.device("cuda", 0), precision),
    ):
        pass


def test_all_mistakes_in_a_setting_are_told_at_once():
    with pytest.raises(ValueError, match=r"mode is 'compiled'.*'compile'.*training_precision is"):
        Setting("compiled", "fp32", "fp8")


def test_the_wttf_protocol_is_labelled():
    assert WTTF_PROTOCOL.label.startswith("WTTF protocol: eager, fp32")
    assert "WTTF" not in Setting().label
    assert Setting("eager", "fp32", "fp16") == WTTF_PROTOCOL


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compiler")
def test_compiling_happens_before_the_first_pass_and_for_one_shape():
    seen = []

    class Watching(nn.Linear):
        def forward(self, images):
            seen.append(images.shape)
            return super().forward(images.flatten(1))

    model = Watching(48, 5)
    with running(model, Setting("compile"), IMAGES) as forward:
        assert seen
        torch.testing.assert_close(forward(IMAGES), model(IMAGES))
        with pytest.raises(ValueError, match=r"prepared for a batch \(2, 3, 4, 4\), given \(1,"):
            forward(IMAGES[:1])


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, _images):
        try:
            raise self.error
        finally:
            raise OSError("a consequence")


@pytest.mark.parametrize("wrapped", [RuntimeError("no kernel\nfor this"), MemoryError("too much")])
def test_a_failed_compilation_is_a_reason_but_want_of_memory_is_one_itself(monkeypatch, wrapped):
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    kind = MemoryError if out_of_memory(wrapped) else UnmeasurableError
    with pytest.raises(kind) as raised, running(Failing(wrapped), Setting("compile"), IMAGES):
        pass
    if kind is UnmeasurableError:
        assert str(raised.value) == "torch.compile failed: RuntimeError: no kernel"


@pytest.mark.slow
def test_the_compiler_itself():
    model = small()
    with running(model, Setting("compile"), IMAGES) as forward:
        torch.testing.assert_close(forward(IMAGES), model(IMAGES))


class FakeStream:
    def wait_stream(self, _other):
        pass


class FakeGraph:
    """Stands for a captured `model(x) = 2 x`: a replay does it again on the same tensors."""

    def __init__(self, model):
        self.model, self.replays, self.was_reset = model, 0, False

    def replay(self):
        self.replays += 1
        self.model.logits.copy_(2 * self.model.images)

    def reset(self):
        self.was_reset = True


class Doubling(nn.Module):
    passes = 0

    def forward(self, images):
        self.passes += 1
        self.images, self.logits = images, 2 * images
        return self.logits


@pytest.fixture
def fake_cuda(monkeypatch):
    fakes = {name: lambda *_, **__: contextlib.nullcontext() for name in ("device", "stream")}
    fakes |= {"graph": fakes["device"], "Stream": FakeStream, "current_stream": FakeStream}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)


@pytest.mark.usefixtures("fake_cuda")
def test_a_captured_pass_is_replayed_on_a_copy_of_the_batch():
    model = Doubling()
    graph = FakeGraph(model)
    forward = execution._captured(graph, model, IMAGES)
    captured = model.passes
    other = IMAGES + 1
    torch.testing.assert_close(forward(other), 2 * other)
    assert (graph.replays, model.passes) == (1, captured)
    assert model.images is not IMAGES
    with pytest.raises(ValueError, match="prepared for"):
        forward(IMAGES[:1])


@pytest.mark.usefixtures("fake_cuda")
def test_a_failed_capture_names_what_first_went_wrong():
    model = Failing(RuntimeError("operation not permitted when stream is capturing"))
    reason = "CUDA graph capture failed: RuntimeError: operation not permitted"
    with pytest.raises(UnmeasurableError, match=reason):
        execution._captured(FakeGraph(model), model, IMAGES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("mode", execution.MODES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_modes_and_precisions_on_cuda(mode, precision):
    model, images = small().cuda().eval(), IMAGES.cuda()
    expected = model(2 * images)
    with running(model, Setting(mode, precision), images) as forward:
        logits = forward(2 * images).float().clone()
    torch.testing.assert_close(logits, expected, rtol=0.05, atol=0.05)

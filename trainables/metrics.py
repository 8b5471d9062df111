"""The catalogue of metrics: name, unit and which way is better. Imports no torch.

An epoch's metrics are in its line of a trial's `metrics.jsonl`; training times are computed from
these lines; efficiency metrics are measured after the sweep. The name of a metric says the unit of
its values.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity: its `unit`, which direction is `better`, and how it is obtained."""

    name: str
    unit: str
    better: Literal["min", "max", "neither"]
    meaning: str


_EPOCH = (
    Metric("train_loss", "nats", "min", "mean loss over the epoch, in train mode"),
    Metric("train_auxiliary_loss", "nats", "neither", "mean per step of losses beside train_loss"),
    Metric("train_top1", "fraction", "max", "running accuracy over the epoch, in train mode"),
    Metric("valid_loss", "nats", "min", "mean loss on the validation split"),
    Metric("valid_top1", "fraction", "max", "accuracy on the validation split"),
    Metric("valid_top5", "fraction", "max", "label among the five highest logits"),
    Metric("valid_macro_recall", "fraction", "max", "mean over classes of the recall"),
    Metric("valid_macro_f1", "fraction", "max", "mean over classes of the F1 score"),
    Metric("lr", "1", "neither", "learning rate of the epoch"),
    Metric("train_seconds", "s", "min", "wall time of the epoch's training part"),
    Metric("valid_seconds", "s", "min", "wall time of the epoch's validation"),
    Metric("train_images_per_s", "images/s", "max", "training images over train_seconds"),
)
_FINAL = (
    Metric("best_valid_top1", "fraction", "max", "highest validation accuracy of any epoch"),
    Metric("best_epoch", "epoch", "neither", "first epoch that reached best_valid_top1"),
    Metric("test_loss", "nats", "min", "loss on the test split with the best epoch's weights"),
    Metric("test_top1", "fraction", "max", "test accuracy with the best epoch's weights"),
    Metric("test_top5", "fraction", "max", "test top-5 accuracy with the best epoch's weights"),
    Metric("test_macro_recall", "fraction", "max", "test macro recall, best epoch's weights"),
    Metric("test_macro_f1", "fraction", "max", "test macro F1, best epoch's weights"),
)
_TRAINING_TIME = (
    Metric("train_seconds_per_epoch", "s", "min", "median of train_seconds, without warm-ups"),
    Metric("evaluation_seconds_per_epoch", "s", "min", "median of valid_seconds, same epochs"),
    Metric("worker_hours", "h", "min", "train_seconds of all epochs, times workers"),
    Metric("worker_hours_paid", "h", "min", "worker_hours with lost epochs, an upper bound"),
    Metric("gpu_hours", "h", "min", "worker_hours on CUDA, where each worker has a GPU"),
    Metric("finetune_gpu_hours_per_epoch", "h", "min", "gpu_hours over epochs, as WTTF A.4"),
)
_EFFICIENCY = (
    Metric("params", "1", "min", "trainable parameters"),
    Metric("gflops", "1e9", "min", "forward pass of one image in WTTF's convention"),
    Metric("gmacs", "1e9", "min", "multiply-adds of one image's forward pass"),
    Metric("throughput_images_per_s", "images/s", "max", "inference, best batch size tried"),
    Metric("throughput_batch_size", "images", "neither", "the batch size that gave it"),
    Metric("largest_batch_size", "images", "max", "the most that inference has memory for"),
    Metric("utilisation", "fraction", "max", "2 operations per multiply-add, over the peak"),
    Metric("latency_ms", "ms", "min", "median forward pass at batch 1"),
    Metric("latency_p90_ms", "ms", "min", "90th percentile at batch 1"),
    Metric("latency_p99_ms", "ms", "min", "99th percentile at batch 1"),
    Metric("energy_joules", "J", "min", "inference per image, above that of the idle device"),
    Metric("power_watts", "W", "min", "mean while the energy was measured, idle power included"),
    Metric("idle_power_watts", "W", "neither", "mean with the model loaded and nothing running"),
    Metric("inference_peak_memory_bytes", "bytes", "min", "forward pass at batch 64"),
    Metric("inference_reserved_memory_bytes", "bytes", "min", "reserved for it by the allocator"),
    Metric("inference_batch_1_peak_memory_bytes", "bytes", "min", "forward pass at batch 1"),
    Metric("inference_batch_1_reserved_memory_bytes", "bytes", "min", "reserved at batch 1"),
    Metric("training_peak_memory_bytes", "bytes", "min", "forward, backward and optimiser step"),
    Metric("training_reserved_memory_bytes", "bytes", "min", "reserved for it by the allocator"),
    Metric("training_step_ms", "ms", "min", "median forward, backward and optimiser step"),
)

EPOCH: dict[str, Metric] = {metric.name: metric for metric in _EPOCH}
FINAL: dict[str, Metric] = {metric.name: metric for metric in _FINAL}
TRAINING_TIME: dict[str, Metric] = {metric.name: metric for metric in _TRAINING_TIME}
EFFICIENCY: dict[str, Metric] = {metric.name: metric for metric in _EFFICIENCY}
CATALOGUE: dict[str, Metric] = {**EPOCH, **FINAL, **TRAINING_TIME, **EFFICIENCY}

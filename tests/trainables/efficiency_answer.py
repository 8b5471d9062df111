"""What a measuring process answers, without measuring."""


def answer(latency_ms=2.0, **changes):
    """An answer as `python -m trainables.efficiency` gives it."""
    measurements = {
        "latency_ms": latency_ms,
        "throughput_images_per_s": 100.0,
        "throughputs": [[1, 500.0, 490.0, 510.0, 7], [2, 100.0, 98.0, 102.0, 9]],
        "throughput_stopped_by": "the largest batch size was reached",
        "training_peak_memory_bytes": None,
        "repeats": {"latency_ms": 7},
        "reasons": {"training_peak_memory_bytes": "out of memory"},
    }
    return {
        "counts": {"params": 100, "gflops": 0.5, "by_operator": {"matmul": 5.0}, "uncounted": {}},
        "measurements": measurements | changes,
        "device": {
            "name": "a processor",
            "threads": 2,
            "memory_bytes": 2**30,
            "load_average": [0.5, 0.25],
        },
        "other_busy_cores": 0.0,
        "other_load": False,
    }

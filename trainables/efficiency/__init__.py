"""What a model costs: parameters, FLOPs, time and memory."""

from trainables.efficiency.count import Counts, count
from trainables.efficiency.fresh import measure_fresh
from trainables.efficiency.measure import Measurements, measure

__all__ = ["Counts", "Measurements", "count", "measure", "measure_fresh"]

"""What a model costs: parameters, FLOPs, time, memory and energy."""

from trainables.efficiency.count import Counts, count
from trainables.efficiency.execution import Setting
from trainables.efficiency.fresh import measure_fresh
from trainables.efficiency.measure import Measurements, measure

__all__ = ["Counts", "Measurements", "Setting", "count", "measure", "measure_fresh"]

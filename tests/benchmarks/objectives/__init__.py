"""The functions that searchers are compared on, by name."""

from tests.benchmarks.objectives.crossing import Crossing
from tests.benchmarks.objectives.digits import Digits
from tests.benchmarks.objectives.flat import Flat
from tests.benchmarks.objectives.late_drops import LateDrops
from tests.benchmarks.objectives.limited import Limited
from tests.benchmarks.objectives.mf_hartmann6 import MFHartmann6
from tests.benchmarks.objectives.objective import Objective
from tests.benchmarks.objectives.two_objectives import TwoObjectives

FAMILIES: dict[str, type[Objective]] = {
    family.name: family
    for family in (Crossing, LateDrops, Flat, TwoObjectives, Limited, MFHartmann6, Digits)
}
# searchers are chosen on the first functions of a family and reported on the others
CHOOSING = tuple(range(5))
REPORTING = tuple(range(100, 105))

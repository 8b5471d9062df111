"""One sweep from its study to its report; the driver's side."""

import math
import random
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from threadpoolctl import threadpool_limits

from reports.build import build
from reports.mlflow_contract import address, explained
from search import cluster, disk, exhaustion, measuring, objectives, tuner, warm_start
from search.adoption import adopt
from search.clock import Clocks
from search.costs import Costs
from search.feasibility import Feasibility
from search.identity import claim
from search.measuring import Measuring
from search.mlflow_store import usable
from search.opening import study_of
from search.plan import Plan
from search.projection import Projection
from search.published import points, refused
from search.published_space import beside
from search.quantities import Measured, Quantities, quantities
from search.record import Record, State
from search.repeats import repeated
from search.request import Request
from search.samplers import PUBLISHED
from search.sampling import create
from search.searcher import metrics_of
from search.storage import attend, opened
from search.study import SweepStudy
from search.study_file import StudyFile
from search.terminal import View, best, progress_bar, reasons, repeats
from search.tracking import Tracker
from trainables import trial_log
from trainables.addresses import redacted, sqlite_url
from trainables.errors import BadRequestError
from trainables.provenance import facts

_DRAWS = 200  # among which one is looked for that keeps the limits that are counted


class Sweep:
    """One sweep from its study to its report; the driver's side."""

    def __init__(self, request: Request, plan: Plan, console: Console):
        self.request, self.plan, self.console = request, plan, console
        self.uri = address(request.home)
        if mended := usable(self.uri):
            self.say(f"note: {mended}")
        self.provenance = facts()
        self.study = self._study()
        self._costs: Costs | None = None
        self.tracker = Tracker(self.uri, request.home, plan, self.provenance)
        self.study.listeners.append(self.tracker.changed)
        for record in self.study.accepted:
            found = trial_log.scan(request.folder.trial(record.key).metrics)
            for damage in found.damages:
                self.say(f"warning: {damage}")
            record.metrics |= metrics_of(found.sound[-1]) if found.sound else {}
            self.tracker.changed(record)

    def say(self, text: str) -> None:
        self.console.print(redacted(text), highlight=False, markup=False, soft_wrap=True)

    def _study(self) -> SweepStudy:
        request, plan, file = self.request, self.plan, StudyFile(self.request.folder, self.say)
        known = self._quantities(plan)  # which may refuse, before anything is made
        if request.database:
            storage = opened(request.database, self.say)
        else:
            if healed := file.heal():
                self.say(f"note: {healed}")
            storage = file.storage()
            attend(storage, self.say)
        stored = create(plan.sweep, plan.directions, storage)
        claim(stored, plan, request.folder, shared=bool(request.database))
        for kept in warm_start.keep(stored, plan, request.home, request.database):
            self.say(f"note: {kept}")
        if adopted := adopt(stored, plan, request.folder, known.known):
            where = "were found in their folders"
            self.say(f"note: {len(adopted)} trials that the study did not know {where}")
            if not request.database:
                file.keep()
        self._clocks = Clocks(stored, plan, request.folder)
        study = study_of(stored, plan, known, self._clocks.all)
        study.listeners += [self._tidy, *(clock.changed for clock in self._clocks.all)]
        self._stored = stored
        if not request.database:
            study.listeners.append(lambda r: file.keep() if r.state != State.RUNNING else None)
        only = plan.sampler == PUBLISHED
        warm = warm_start.tried_first(stored)
        count = math.inf if only else plan.published + len(warm)
        study.enqueue(warm | points(plan), count)
        for row, broken in refused(plan).items() if only else ():
            self.say(f"note: {row} is not tried: {broken}")
        return study

    def _quantities(self, plan: Plan) -> Quantities:
        """Limits and objectives that need no training; measured ones are tried out once, first."""
        if not (named := plan.measured):
            return quantities(plan, None)
        if cluster.address_of(self.request.address):
            said = f"{', '.join(named)} cannot be measured while the lanes of a cluster train"
            counted = ", ".join(objectives.COUNTED)
            raise BadRequestError([f"{said}; objectives and limits that can: {counted}"])
        self.say(f"measuring {', '.join(named)}: lanes wait for it, once for each architecture")
        quiet = self.request.folder.quiet
        measured = Measured(self.request.home, plan, measuring.here(), quiet, self.say)
        found = quantities(plan, measured)
        counted = {n: limit for n, limit in found.constraints.items() if n in objectives.COUNTED}
        small = Feasibility(plan.searched, plan.image_size, counted)
        rng = random.Random(plan.seed)
        draws = (plan.searched.draw(rng) for _ in range(_DRAWS))
        if first := next(filter(small.holds, draws), None):
            measured.refuse_missing(first)
        return found

    def _tidy(self, record: Record) -> None:
        files = self.request.folder.trial(record.key)
        disk.tidy(files, record.state, keep_weights=self.request.keep_weights)

    def train(self) -> None:
        """Run trials until none is missing, or until interrupted."""
        crews = cluster.crews(self.request.resources, self.plan.trials)
        self._clocks.begin(crews.workers * crews.gpus_per_worker)
        self.plan.save(self.request.folder.plan)
        view = View(self.console, self.plan, self.study.accepted, self._clocks.hours)
        request, earlier = self.request, list(self.study.listeners)
        for record in self.study.accepted:
            self._tidy(record)  # the driver before may have ended in between
        room = disk.Room(self.study, self.plan, request.folder, request.disk_limit, self.say)
        self.study.listeners += [view.changed, *request.listeners, room.changed]
        # suggestions are made beside lanes, whose cores are theirs
        with view.shown(), threadpool_limits(1):
            tuner.run(self.study, self.plan, self.request.folder, crews)
        self.study.listeners[:] = earlier
        exhaustion.note(self._stored, self.study)

    def settle(self) -> bool:
        """See everything written to MLflow so far; whether it was."""
        if trouble := self.tracker.close(say=self.say):
            self._missing(trouble)
        return not trouble

    def measure(self, way: Measuring) -> None:
        """Measure the architectures of all trials, as far as they are not measured yet."""
        self._costs = Costs(self.request.home, self.plan, way)
        for damage in self._costs.damages:
            self.say(f"warning: {damage}")
        with progress_bar(self.console, "measuring") as progress:
            self._costs.measure(self.study.accepted, progress)

    def conclude(self, settled: bool) -> bool:
        """Close the sweep in MLflow and report it; returns whether MLflow has everything.

        What was deleted there comes back. While MLflow cannot be written, the report is made of the
        study, the trials' folders and the measurements alone.
        """
        written = settled and self._write(self.uri)
        if written:
            path = build(self.request.home, self.plan.sweep, self.uri)
        else:
            with TemporaryDirectory() as folder:
                uri = sqlite_url(Path(folder) / "mlflow.db")
                self._project(uri, Path(folder))
                path = build(self.request.home, self.plan.sweep, uri)
        if self.plan.sampler == PUBLISHED:
            self.console.print(beside(self.study.accepted, self.plan.searched))
        self.console.print(best(self.study.accepted, self.plan))
        if table := repeats(self.study.accepted, self.plan):
            self.console.print(table)
        for line in reasons(self.study.accepted):
            self.say(line)
        self.say(f"report: {path}")
        show = shlex.join(["python", "-m", "search.ui", "--home", str(self.request.home)])
        self.say(f"compare the trials in MLflow: {show}")
        return written

    def _write(self, uri: str) -> bool:
        try:
            self._project(uri)
        except Exception as error:  # noqa: BLE001 - any failure of MLflow is an outage
            self._missing(explained(error, uri))
            return False
        return True

    def _project(self, uri: str, artifacts: Path | None = None) -> None:
        """Everything that is known, where MLflow has not got it."""
        home, trials = self.request.home, self.study.accepted
        projection = Projection(uri, home, self.plan, self.provenance, artifacts)
        projection.sweep()
        for record in trials:
            projection.trial(record)
        if self._costs:
            self._costs.publish(trials, projection)
        for one in repeated(trials, self.plan.directions[self.plan.learned[0]]):
            if one.tie:
                projection.tie(one.original)
        projection.sweep("KILLED" if self.study.unfinished else "FINISHED")

    def _missing(self, why: str) -> None:
        again = ["python", "-m", "search.verify", self.plan.sweep, "--home"]
        words = shlex.join([*again, str(self.request.home), "--rebuild"])
        self.say(f"warning: {why}; `{words}` writes the rest")

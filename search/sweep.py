"""One sweep from its study to its report; the driver's side."""

import shlex

from rich.console import Console

from reports.build import build
from reports.mlflow_contract import address
from search import cluster, tuner
from search.costs import Costs, counter
from search.measuring import Measuring
from search.plan import OBJECTIVE, Plan
from search.projection import Projection
from search.record import State
from search.request import Request
from search.sampling import create
from search.searcher import metrics_of
from search.storage import attend, opened
from search.study import SweepStudy
from search.study_file import StudyFile
from search.terminal import View, best, progress_bar, reasons
from search.tracking import Tracker
from trainables import trial_log
from trainables.addresses import redacted
from trainables.provenance import facts

_FLUSH_SECONDS = 120.0


class Sweep:
    """One sweep from its study to its report; the driver's side."""

    def __init__(self, request: Request, plan: Plan, console: Console):
        self.request, self.plan, self.console = request, plan, console
        self.uri = address(request.home)
        self.provenance = facts()
        self.study = self._study()
        self.tracker = Tracker(self.uri, request.home, plan, self.provenance)
        self.study.listeners.append(self.tracker.changed)
        for record in self.study.accepted:
            lines = trial_log.read(request.folder.trial(record.key).metrics)
            record.metrics |= metrics_of(lines[-1]) if lines else {}
            self.tracker.changed(record)

    def say(self, text: str) -> None:
        self.console.print(redacted(text), highlight=False, markup=False, soft_wrap=True)

    def _study(self) -> SweepStudy:
        request, plan, file = self.request, self.plan, StudyFile(self.request.folder)
        if request.database:
            storage = opened(request.database, self.say)
        else:
            if healed := file.heal():
                self.say(f"note: {healed}")
            storage = file.storage()
            attend(storage, self.say)
        study = SweepStudy(
            create(plan.sweep, OBJECTIVE, storage, plan.epochs),
            plan.searched,
            directions=OBJECTIVE,
            image_size=plan.image_size,
            trials=plan.trials,
            seed=plan.seed,
            constraints={"gflops": (counter(plan), plan.max_gflops)} if plan.max_gflops else None,
        )
        if not request.database:
            study.listeners.append(lambda r: file.keep() if r.state != State.RUNNING else None)
        if not study.records:
            self._enqueue_published(study)
        return study

    def _enqueue_published(self, study: SweepStudy) -> None:
        """The best published points that lie in this sweep's space and limits."""
        plan, left = self.plan, self.plan.published
        for point in plan.searched.published:
            params = {k: v for k, v in point.params.items() if k in plan.searched.params}
            if left and not plan.searched.outside(params) and study.feasible(params):
                study.enqueue(params, point.address)
                left -= 1

    def train(self) -> None:
        """Run trials until none is missing, or until interrupted."""
        crews = cluster.crews(self.request.resources, self.plan.trials)
        self.plan.save(self.request.folder.plan)
        view = View(self.console, self.plan, self.study.accepted)
        self.study.listeners.append(view.changed)
        with view.shown():
            tuner.run(self.study, self.plan, self.request.folder, crews)
        self.study.listeners.remove(view.changed)

    def settle(self) -> bool:
        """See everything written to MLflow so far; whether it was."""
        if trouble := self.tracker.close(_FLUSH_SECONDS):
            self.say(f"warning: {trouble}; `python -m search.verify --rebuild` writes the rest")
        return not trouble

    def measure(self, way: Measuring) -> None:
        """Measure the architectures of all trials, and write that to MLflow once it is settled."""
        costs = Costs(self.request.home, self.plan, way)
        with progress_bar(self.console, "measuring") as progress:
            costs.measure(self.study.accepted, progress)
        costs.publish(self.study.accepted, self.projection())

    def projection(self) -> Projection:
        return Projection(self.uri, self.request.home, self.plan, self.provenance)

    def finish(self) -> None:
        """Close the parent run in MLflow."""
        self.projection().sweep("KILLED" if self.study.unfinished else "FINISHED")

    def report(self) -> None:
        """The best five, where the report is, how to open MLflow."""
        self.console.print(best(self.study.accepted, self.plan))
        for line in reasons(self.study.accepted):
            self.say(line)
        path = build(self.request.home, self.plan.sweep, self.uri)
        self.say(f"report: {path}")
        show = shlex.join(["python", "-m", "search.ui", "--home", str(self.request.home)])
        self.say(f"compare the trials in MLflow: {show}")

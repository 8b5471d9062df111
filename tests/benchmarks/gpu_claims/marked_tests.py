"""Every test that is marked `gpu`, a row each."""

import re
from pathlib import Path

import pytest

from tests.benchmarks.gpu_claims.claim import Scale, Tell

ROOT = Path(__file__).parents[3]


class Reporter:
    """A pytest plugin that tells of every test when it has ended."""

    def __init__(self, tell: Tell):
        self.tell, self.ran = tell, 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        self.ran += 1
        name = report.nodeid.rpartition("/")[2]
        message = ""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            message = str(crash.message if crash else report.longrepr).splitlines()[0]
        elif report.skipped:
            message = re.sub(r"^Skipped: ", "", str(report.longrepr[-1]))
        result = f"{report.outcome}, {report.duration:.1f} s" + f": {message}" * bool(message)
        self.tell(name, result, outcome=report.outcome, seconds=report.duration)


def run(scale: Scale, tell: Tell) -> None:  # noqa: ARG001 - tests have their own sizes
    files = sorted(
        str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text()
    )
    reporter = Reporter(tell)
    code = pytest.main(
        ["-m", "gpu", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *files], plugins=[reporter]
    )
    tell("all of them", f"{reporter.ran} tests, pytest ended with {int(code)}", tests=reporter.ran)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not reporter.ran:
        raise RuntimeError(f"pytest ended with {code!r}, {reporter.ran} tests ran")

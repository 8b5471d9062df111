"""`vit-search` is the packages' own commands under one name."""

import importlib
import re
import subprocess
import sys

import pytest

import search
from search import command


@pytest.mark.parametrize("name", command.COMMANDS)
def test_a_subcommand_is_the_main_of_its_module(name):
    module = importlib.import_module(command.COMMANDS[name][0])
    assert callable(module.main)


def test_a_subcommand_gets_the_arguments_after_it(tmp_path, capsys):
    assert command.main(["report", "nothing", "--home", str(tmp_path)]) == 2
    assert "no MLflow database" in capsys.readouterr().err


def test_a_subcommand_has_its_own_help(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["run", "--help"])
    assert ended.value.code == 0
    assert "--image-size" in capsys.readouterr().out


def test_an_unknown_subcommand_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["rum"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(name in told for name in command.COMMANDS)


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"vit-search {search.__version__}"
    assert re.fullmatch(r"\d+\.\d+\.\d+", search.__version__)


def test_search_offers_its_public_names_alone():
    assert search.__all__ == ["SweepResult", "TrialResult", "resume", "simulate", "sweep"]
    assert set(dir(search)) == {*search.__all__, "__version__"}
    assert all(getattr(search, name).__module__.startswith("search.") for name in search.__all__)
    with pytest.raises(AttributeError, match="no attribute 'swep'"):
        _ = search.swep


def test_to_import_search_imports_nothing_heavy():
    heavy = ("ray", "torch", "optuna", "mlflow", "scipy", "pyarrow", "rich")
    told = f"import sys, search; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_and_a_wrong_name_need_nothing_heavy(tmp_path):
    heavy = ("ray", "torch", "optuna", "mlflow", "scipy")
    for words, code in ((["--help"], 0), (["linfomer", "--home", str(tmp_path)], 2)):
        told = f"""import sys; from search.run import main
try: code = main({words})
except SystemExit as ended: code = ended.code
sys.exit(f"{{code}} {{[n for n in {heavy} if n in sys.modules]}}")"""
        command = [sys.executable, "-c", told]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr.splitlines()[-1] == f"{code} []", done.stderr

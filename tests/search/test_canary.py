"""No credential of a database's or server's address is in anything that a sweep writes."""

import json
import shutil
import sqlite3
import sys
from argparse import Namespace

from search.projection import Projection
from search.run import _go_on
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from trainables import provenance
from trainables.addresses import sqlite_url
from trainables.home import Home

CANARY = "c4n4ry"


def test_neither_facts_nor_mlflow_nor_the_command_hold_it(
    make_plan, mlflow_db, tmp_path, monkeypatch
):
    url = f"postgresql+psycopg://me:{CANARY}@db/studies"
    monkeypatch.setattr(sys, "argv", ["run.py", "linformer", "--database", url])
    provenance.facts.cache_clear()
    facts = provenance.facts()
    provenance.facts.cache_clear()
    assert CANARY not in json.dumps(facts)
    assert "me:***@db/studies" in facts["command"]
    home, plan = Home(tmp_path / "h"), make_plan()
    home.prepare()
    shutil.copy(mlflow_db, home.mlflow)
    (home.path / plan.sweep).mkdir()
    plan.save(home.path / plan.sweep / "plan.json")
    Projection(sqlite_url(home.mlflow), home, plan, facts).sweep()
    request = Namespace(home=home, address=None, database=url)
    assert CANARY not in _go_on(request, plan)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


def test_the_command_that_goes_on_can_be_pasted(make_plan, tmp_path):
    import shlex

    home, plan = Home(tmp_path / "my home; rm *"), make_plan()
    request = Namespace(home=home, address=None, database=None)
    assert _go_on(request, plan) == "nothing was trained yet: the same command begins the sweep"
    (home.path / plan.sweep).mkdir(parents=True)
    plan.save(home.path / plan.sweep / "plan.json")
    line = _go_on(request, plan)
    words = shlex.split(line.partition("To go on: ")[2])
    assert words[words.index("--home") + 1] == str(home)
    assert words[-1] == "--resume"


def test_a_home_of_any_letters_has_its_databases_inside(make_plan, mlflow_db, tmp_path):
    for name in ("feature%2Fx", "what?", "100%", "a#b"):
        home = Home(tmp_path / name)
        home.prepare()
        folder = SweepFolder.of(home, "s")
        folder.path.mkdir()
        shutil.copy(mlflow_db, home.mlflow)  # what is made elsewhere is beside the homes
        StudyFile(folder).storage().engine.dispose()
        Projection(sqlite_url(home.mlflow), home, make_plan(), {}).sweep()
        assert folder.study.exists()
        with sqlite3.connect(home.mlflow) as there:
            assert there.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert len(list(tmp_path.iterdir())) == 4, "nothing beside the homes"

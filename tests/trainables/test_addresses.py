"""Addresses: every path is a URL that SQLAlchemy reads back, and no credential is shown."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from trainables.addresses import redacted, sqlite_url

CANARY = "c4n4ry"
PATHS = ("/a/home", "/a/my home", "/a/feature%2Fx", "/a/100%", "/a/what?", "/a/b#c", "/a/ü&x=1?%3F")


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_the_same_whoever_reads_its_url(path):
    url = sqlite_url(Path(path) / "x.db")
    assert make_url(url).database == f"{path}/x.db"
    assert not make_url(url).query


def test_a_plain_path_keeps_the_url_that_it_always_had():
    assert sqlite_url(Path("/a/my home/x.db")) == "sqlite:////a/my home/x.db"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{CANARY}@db/studies",
        f"postgresql://me:{CANARY}@db:5432/studies?sslmode=require",
        f"postgresql://:{CANARY}@db/studies",
        f"postgresql://me:a@{CANARY}/b@db/studies",
        f"postgresql://me:%40{CANARY}@db/studies",
        f"postgresql://db/studies?user=me&password={CANARY}",
        f"mysql+pymysql://me:{CANARY}@db/studies",
        f"https://me:{CANARY}@mlflow.example/base",
        f"https://{CANARY}@mlflow.example",
        f"HTTPS://{CANARY}:x@mlflow.example",
        f"https://mlflow.example/?access_token={CANARY}&x=1",
        f"redis://:{CANARY}@cache:6379/0",
        f"s3://bucket/x?api_key={CANARY}",
    ],
)
@pytest.mark.parametrize("around", ["{}", "run --database {} --trials 3", '{{"a": "{}", "b": 1}}'])
def test_no_credential_is_shown(url, around):
    shown = redacted(around.format(url))
    assert CANARY not in shown
    assert shown.partition("://")[0] == around.format(url).partition("://")[0]
    assert shown.endswith(around.partition("}")[2].replace("}}", "}")[-4:])


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000",
        "sqlite:////home/me/a:b/x.db",
        "postgresql://me@db/studies",
        "mail me@example.org: see https://example.org/a?b=c",
        "two addresses: http://a:1/x and http://b:2/y",
    ],
)
def test_the_rest_stays(text):
    assert redacted(text) == text


def test_two_addresses_in_one_document_are_both_redacted_and_both_there():
    shown = redacted('["postgresql://a:1234@h/x","https://b:5678@i/y"]')
    assert shown == '["postgresql://a:***@h/x","https://***@i/y"]'

"""Addresses: of a database in a file, and as they may be shown, without what opens them.

As a program it copies its input to its output without credentials, for what libraries print.
"""

import os
import re
import sys
from pathlib import Path

HIDDEN = "***"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# up to the last @ of a run of text, for a password may hold a raw / or @
_PASSWORD = re.compile(
    r"(?P<before>[a-z][\w+.-]*://[^\s:/@?#\"'<>]*:)[^\s\"'<>]*(?=@)", re.IGNORECASE
)
_WEB_USER = re.compile(r"(?P<before>https?://)[^\s/?#\"'<>]*(?=@)", re.IGNORECASE)
_SECRET = re.compile(
    r"(?P<before>[?&;][\w-]*(?:password|passwd|pwd|token|secret|api_?key)[\w-]*=)[^\s&;#\"'<>]+",
    re.IGNORECASE,
)


def sqlite_url(file: Path) -> str:
    """The URL of a database in `file`, for SQLAlchemy and for MLflow, whatever the path's letters.

    SQLAlchemy takes `%` for an escape and `?` for the end of the path. MLflow would make a folder
    of the escaped name for a URL that does not name the driver.
    """
    path = str(file.resolve())
    escaped = path.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{path}" if escaped == path else f"sqlite+pysqlite:///{escaped}"


def redacted(text: str) -> str:
    """`text` without the credentials of the addresses in it.

    Of `scheme://user:password@host` the password goes, of a web address the user's name too, which
    may be a token; so does what the names of a query call a password, token, secret or key.
    """
    for pattern in (_PASSWORD, _WEB_USER, _SECRET):
        text = pattern.sub(rf"\g<before>{HIDDEN}", text)
    return text


def spare_loopback() -> None:
    """Let no request of this process and its children to this machine itself go through a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        spared = list(filter(None, os.environ.get(name, "").split(",")))
        missing = [host for host in _LOOPBACK if host not in spared]
        os.environ[name] = ",".join(spared + missing)


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        text = redacted(line.decode(errors="surrogateescape"))
        sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()

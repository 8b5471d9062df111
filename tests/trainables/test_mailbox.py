"""Numbered commands one way, the leader's answers the other; without Ray, in one event loop."""

import asyncio

import pytest

from trainables import mailbox
from trainables.mailbox import Mailbox


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch):
    monkeypatch.setattr(mailbox, "POLL_SECONDS", 0.05)


def test_commands_are_numbered_and_every_rank_reads_all_of_them():
    async def life():
        box = Mailbox()
        assert [await box.post({"do": what}) for what in ("open", "epoch")] == [0, 1]
        for _rank in range(2):  # also one that comes late
            assert await box.command(0) == {"do": "open"}
            assert await box.command(1) == {"do": "epoch"}
        assert await box.command(0) == {"do": "open"}, "what was read stays"

    asyncio.run(life())


def test_who_asks_early_gets_the_command_once_it_is_posted():
    async def life():
        box = Mailbox()
        asked = [asyncio.create_task(box.command(0)) for _rank in range(3)]
        await asyncio.sleep(0)
        await box.post({"do": "close"})
        assert await asyncio.gather(*asked) == [{"do": "close"}] * 3

    asyncio.run(life())


def test_nothing_comes_within_the_poll_time():
    async def life():
        box = Mailbox()
        assert await box.command(0) is None
        assert await box.answered(0) == (False, None)
        await box.post({"do": "return"})
        assert await box.command(0) == {"do": "return"}, "a wait that ended in vain spoils nothing"

    asyncio.run(life())


def test_an_answer_is_that_of_its_command_and_taken_once():
    async def life():
        box = Mailbox()
        waiting = asyncio.create_task(box.answered(1))
        await box.answer(0, "first")
        await box.answer(1, None)
        assert await waiting == (True, None), "an answer may be None"
        assert await box.answered(0) == (True, "first")
        assert await box.answered(0) == (False, None)

    asyncio.run(life())


def test_workers_are_known_to_whoever_has_to_end_them():
    async def life():
        box = Mailbox()
        for worker in ("a", "b"):
            await box.enlist(worker)
        assert await box.workers() == ["a", "b"]

    asyncio.run(life())

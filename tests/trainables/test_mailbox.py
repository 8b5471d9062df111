"""What a lane and its workers talk through, without the Ray actor around it."""

import asyncio

import pytest

from trainables import mailbox
from trainables.mailbox import Mailbox


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch):
    monkeypatch.setattr(mailbox, "POLL_SECONDS", 0.05)


def test_commands_are_numbered_and_kept_for_those_who_come_late():
    async def talk():
        box = Mailbox()
        assert [await box.post({"do": do}) for do in ("open", "epoch")] == [0, 1]
        return [await box.command(number) for number in (0, 1, 0)]

    assert asyncio.run(talk()) == [{"do": "open"}, {"do": "epoch"}, {"do": "open"}]


def test_who_asks_too_early_is_told_to_ask_again():
    async def talk():
        box = Mailbox()
        return await box.command(0), await box.answered(0)

    assert asyncio.run(talk()) == (None, (False, None))


def test_who_waits_is_woken_by_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(mailbox, "POLL_SECONDS", 30.0)

    async def talk():
        box = Mailbox()
        workers = [asyncio.create_task(box.command(0)) for _ in range(3)]
        lane = asyncio.create_task(box.answered(0))
        await asyncio.sleep(0)
        await box.post({"do": "epoch"})
        await box.answer(0, {"epoch": 1})
        return await asyncio.gather(*workers, lane)

    told = asyncio.run(asyncio.wait_for(talk(), 10))
    assert told == [{"do": "epoch"}] * 3 + [(True, {"epoch": 1})]


def test_an_answer_is_handed_out_once_and_none_is_an_answer():
    async def talk():
        box = Mailbox()
        await box.answer(7, None)
        return await box.answered(7), await box.answered(7)

    assert asyncio.run(talk()) == ((True, None), (False, None))


def test_workers_that_enlist_can_be_named():
    async def talk():
        box = Mailbox()
        for worker in ("one", "two"):
            await box.enlist(worker)
        return await box.workers()

    assert asyncio.run(talk()) == ["one", "two"]

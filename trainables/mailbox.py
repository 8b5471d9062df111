"""The link between a lane and its workers: numbered commands one way, answers the other."""

import asyncio
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 5.0


class Mailbox:
    """An actor between a lane and its workers: commands one way, the leader's answers back."""

    def __init__(self):
        self._commands: list[dict[str, Any]] = []
        self._answers: dict[int, Any] = {}
        self._workers: list[Any] = []
        self._news = asyncio.Condition()

    async def post(self, command: dict[str, Any]) -> int:
        """Append a command; returns its number."""
        async with self._news:
            self._commands.append(command)
            self._news.notify_all()
            return len(self._commands) - 1

    async def command(self, number: int) -> dict[str, Any] | None:
        """Command `number`, or None if it has not come within the poll time."""
        if not await self._wait(lambda: len(self._commands) > number):
            return None
        return self._commands[number]

    async def answer(self, number: int, content: Any) -> None:
        async with self._news:
            self._answers[number] = content
            self._news.notify_all()

    async def answered(self, number: int) -> tuple[bool, Any]:
        """Whether command `number` was answered within the poll time, and the answer."""
        if not await self._wait(lambda: number in self._answers):
            return False, None
        return True, self._answers.pop(number)

    async def enlist(self, worker: Any) -> None:
        self._workers.append(worker)

    async def workers(self) -> list[Any]:
        return self._workers

    async def _wait(self, condition: Callable[[], bool]) -> bool:
        async with self._news:
            try:
                await asyncio.wait_for(self._news.wait_for(condition), POLL_SECONDS)
            except TimeoutError:
                return False
            return True

from threading import Event

from deploy.laptop.first_start import once_redis_answers, redis_answers
from runtime.settings import CommonSettings
from tests.conftest import free_port


def test_users_are_made_once_redis_answers_and_then_told_of() -> None:
    answers = iter([False, False, True])
    said: list[str] = []
    made = Event()
    once_redis_answers(lambda: next(answers), lambda: ["demo users"], say=said.append, made=made, stop=Event())
    assert said == ["demo users"]
    assert made.is_set()
    assert not list(answers)


def test_nothing_is_made_where_the_run_ends_first() -> None:
    stop, made = Event(), Event()
    stop.set()
    once_redis_answers(lambda: False, lambda: ["demo users"], say=lambda _: None, made=made, stop=stop)
    assert not made.is_set()


async def test_a_redis_that_answers_is_told_from_one_that_does_not(redis_server: str) -> None:
    import asyncio  # noqa: PLC0415 - a thread of its own, as in the runner

    assert await asyncio.to_thread(redis_answers, CommonSettings(redis_url=redis_server))
    away = CommonSettings(redis_url=f"redis://127.0.0.1:{free_port()}")
    assert not await asyncio.to_thread(redis_answers, away)

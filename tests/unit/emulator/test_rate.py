from __future__ import annotations

from datetime import UTC, datetime, timedelta

from packshot_cli.emulator.rate import RateWindow

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_so_many_calls_pass_in_any_minute() -> None:
    window = RateWindow()
    assert [window.pass_or_wait(at(second), 2) for second in (0, 10)] == [None, None]
    assert window.pass_or_wait(at(20), 2) == at(60)
    assert window.pass_or_wait(at(59.9), 2) == at(60)
    assert window.pass_or_wait(at(60), 2) is None
    assert window.pass_or_wait(at(60), 2) == at(70)


def test_without_a_limit_every_call_passes_and_counts_for_a_limit_set_later() -> None:
    window = RateWindow()
    assert [window.pass_or_wait(at(second), None) for second in range(5)] == [None] * 5
    assert window.pass_or_wait(at(5), 3) == at(62)

"""What the simulation found is told at the end of the run, on whichever worker it ran."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, words in report.user_properties:
                    if name == "simulation":
                        terminalreporter.write_line(f"simulation: {words}")

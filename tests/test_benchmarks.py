"""The benchmarks run; no test depends on what they measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.reports import REPORTS

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_the_benchmark_of_scrapes_runs() -> None:
    script = BENCHMARKS / "scrape.py"
    result = subprocess.run([sys.executable, script, "--apps", "20"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("20 apps, ")
    assert result.stdout.count("ratio") == 2


def test_the_benchmark_of_passwords_runs() -> None:
    script = BENCHMARKS / "passwords.py"
    result = subprocess.run([sys.executable, script, "--cost", "4"], capture_output=True, text=True, check=True)
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "no password",
        "cached password",
        "bcrypt check at cost 4",
    ]


def test_the_benchmark_of_the_status_page_runs() -> None:
    script = BENCHMARKS / "statuspage.py"
    result = subprocess.run([sys.executable, script, "--apps", "20"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("weekly page of 20 apps: ")
    assert result.stdout.count("gzipped") == 2
    assert "a scrape: alone" in result.stdout


def test_the_benchmark_of_backfills_runs(tmp_path: Path) -> None:
    script = BENCHMARKS / "backfill.py"
    options = ("--apps", "2", "--weeks", "3", "--sample-interval", "12h")
    command = [sys.executable, script, *options]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("2 apps, 3 weeks, weekly,daily, --sample-interval=12h: ")
    assert "MiB of it to write" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_of_the_page_of_an_app_runs() -> None:
    command = [sys.executable, BENCHMARKS / "apppage.py", "--weeks", "4", "--seconds", "0.1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.count("gzipped") == 1 + 2 * len(REPORTS)
    for name in ("alone", "beside requests for the page", "beside renderings of the page"):
        assert printed.count(f"a scrape {name}: median") == 1


@pytest.mark.parametrize(("name", "expected"), [("scrape", "20 apps, "), ("statuspage", "monthly page of 20 apps: ")])
def test_benchmarks_measure_all_reports(name: str, expected: str) -> None:
    options = ("--apps", "20", "--reports", "weekly,daily,monthly")
    command = [sys.executable, BENCHMARKS / f"{name}.py", *options]
    assert expected in subprocess.run(command, capture_output=True, text=True, check=True).stdout

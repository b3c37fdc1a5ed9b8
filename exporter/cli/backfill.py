"""The command ``backfill``: fetch past periods, then write them as a history or evaluate the alerts on them."""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING

from exporter.backfill import WEEKS, Grid, HistoryFile, Progress, Selection, Size, expected_size
from exporter.cli.backfill_flags import FORMATS, SAFE_AGE
from exporter.cli.backtest import Evaluation, print_json, print_table
from exporter.cli.commands import resolved_output
from exporter.cli.flags import UsageError
from exporter.config import format_duration, replacing
from exporter.metrics import SeriesRenderer
from exporter.periods import rfc3339
from exporter.reports import REPORTS
from exporter.runtime.backfill import Backfill

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from exporter.backfill import AppTask, FetchSummary, Timelines
    from exporter.cli.backfill_flags import BackfillOptions
    from exporter.cli.flags import Options
    from exporter.config import App, Config
    from exporter.runtime.backfill import Gap

_inform = partial(print, file=sys.stderr)
STANDARD_OUTPUT = "-"
_CONTINUE = "to continue, run the same command again{}: periods in the store are not requested again"


def backfill(config: Config, options: Options, clock: Callable[[], float]) -> int:
    """Fetch what is missing and write a file or print the evaluation; return 1 if anything could not be fetched."""
    given, now = options.backfill, clock()
    until = _until(given, now)
    output = _output(options)
    if given.begin and given.end and given.begin > given.end:
        raise UsageError("--from must not be after --to")
    config = _chosen(config, given)
    selection = Selection(given.weeks or WEEKS, given.begin, given.end)
    with closing(
        Backfill(config, options.storage(), clock, selection, given.reports, given.requests_per_second)
    ) as run:
        if not run.chosen:
            raise UsageError("this range has no period that is finished and published: change --from or --to")
        complete = _fetch(run, given)
        if complete is None:
            return 1
        try:
            if given.evaluate:
                _evaluate(config, given, run, now)
            else:
                _write(config, given, run, until, output)
        except KeyboardInterrupt:
            _inform("interrupted; no file was written")
            return 1
        except OSError as error:
            target = f"--output {output}" if output else "standard output"
            _inform(f"{target}: {error.strerror}; what was fetched is in the store")
            return 1
        _list_gaps(run)
        return 0 if complete and not config.broken_files and not run.store.problem else 1


def _until(given: BackfillOptions, now: float) -> float:
    latest = now - SAFE_AGE
    if given.until is None or given.until <= latest:
        return latest if given.until is None else given.until
    if given.until > now:
        raise UsageError("--until: is in the future")
    raise UsageError(
        f"--until: less than 3 hours ago; run the command at {rfc3339(given.until + SAFE_AGE)} or later, or use"
        f" --until={rfc3339(latest)}"
    )


def _output(options: Options) -> Path | None:
    """Return the file to write; None for standard output."""
    if options.backfill.evaluate:
        if options.output is not None:
            raise UsageError("--evaluate prints a table and writes no file: omit --output")
        return None
    if options.backfill.min_ratio is not None:
        raise UsageError("--min-ratio requires --evaluate: the history has the configured thresholds")
    if options.backfill.format != FORMATS[0]:
        raise UsageError("--format requires --evaluate")
    if options.output is None:
        raise UsageError("--output FILE is required (- for standard output), or --evaluate")
    names = [name for name, _ in options.backfill.labels]
    if len(names) != len({*names}):
        raise UsageError("--label: the same name was given twice")
    return None if str(options.output) == STANDARD_OUTPUT else resolved_output(options.output)


def _chosen(config: Config, given: BackfillOptions) -> Config:
    """Return the configuration with the apps of the chosen reports only, and with the threshold of ``--min-ratio``."""
    _require_known("--appid", given.appids, [app.appid for app in config.apps])
    apps = [app for app in config.apps if not given.appids or app.appid in given.appids]
    _require_known("--report", given.reports, list(dict.fromkeys(each.name for app in apps for each in app.reports)))
    if given.reports:
        apps = [app for app in apps if any(report.name in given.reports for report in app.reports)]
    if given.min_ratio is not None:
        ratios = _every_ratio(given.min_ratio)
        apps = [replace(app, alerts=app.alerts.with_ratios(ratios)) for app in apps]
    return replace(config, apps=tuple(apps))


def _every_ratio(ratio: float) -> dict[tuple[str, str], float]:
    return {
        (report.name, threshold.option): ratio for report in REPORTS.values() for threshold in report.alert_thresholds
    }


def _require_known(flag: str, names: tuple[str, ...], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"{flag} {name}: not configured; configured: {', '.join(known)}")


def _fetch(run: Backfill, given: BackfillOptions) -> bool | None:
    """Fetch what the store lacks, and print the result; return whether it is complete, None if interrupted."""
    try:
        tasks = run.tasks()
        number = sum(map(len, tasks))
        _inform(_announcement(tasks, number, given.requests_per_second))
        with Progress("fetching", number, "periods", sys.stderr) as progress:
            summary = run.fetch(tasks, progress)
    except KeyboardInterrupt:  # before the first request
        _inform(f"interrupted; {_CONTINUE.format('')}")
        return None
    return _report(summary)


def _announcement(tasks: list[AppTask], number: int, per_second: float) -> str:
    if not number:
        return "all periods are in the store: nothing to request"
    seconds = format_duration(round(number / per_second) or 1)
    return f"requesting {number} periods of {len(tasks)} apps: at least {seconds} at {per_second:g} requests per second"


def _report(summary: FetchSummary) -> bool | None:
    if summary.fetched or summary.without_data or summary.unpublished:
        without = f", {summary.without_data} without data" if summary.without_data else ""
        unpublished = f", {summary.unpublished} not published yet" if summary.unpublished else ""
        _inform(f"fetched {summary.fetched} periods{without}{unpublished}")
    for stop in summary.stops:
        report = f": {stop.report}" if stop.report else ""
        _inform(f"{stop.appid}{report}: {stop.periods} periods not fetched: {stop.reason}")
    if summary.interrupted:
        _inform(f"interrupted; {_CONTINUE.format('')}")
        return None
    if summary.stops:
        _inform(_CONTINUE.format(" tomorrow" if any(stop.until_tomorrow for stop in summary.stops) else ""))
    return not summary.stops


def _write(config: Config, given: BackfillOptions, run: Backfill, until: float, output: Path | None) -> None:
    labels = dict(given.labels)
    if "job" not in labels or "instance" not in labels:
        _inform(
            "warning: without --label=job=... and --label=instance=..., the history is not in the series of the scrapes"
        )
    renderer = SeriesRenderer([report for name, report in REPORTS.items() if name in run.chosen], labels)
    timelines = run.timelines(until)
    grid = Grid(given.sample_interval, until)
    _print_size(config.apps, given.sample_interval, run, renderer, timelines)
    directory = output.parent if output is not None and output.parent.is_dir() and not _is_device(output) else None
    with (
        closing(HistoryFile(renderer, grid, directory)) as history,
        Progress("writing", len(config.apps), "apps", sys.stderr) as progress,
    ):
        for app in config.apps:
            history.add(timelines.of(app, run.chosen))
            progress.advance()
            progress.show()
        if not history.samples and output is not None and not _is_device(output):
            _inform("no figures in this range: nothing was written")
            return
        with _opened(output) as file:
            history.write(file)
    _inform(f"wrote {history.samples} samples" + (f" to {output}" if output else ""))


def _is_device(output: Path) -> bool:
    return output.exists() and not output.is_file()


def _opened(output: Path | None) -> AbstractContextManager[IO[bytes]]:
    if output is None:
        return nullcontext(sys.stdout.buffer)
    # A rename would replace a pipe or a device by a file. Prometheus' user must be able to read the file.
    return output.open("wb") if _is_device(output) else replacing(output, mode=0o644)


def _print_size(
    apps: tuple[App, ...], interval: int, run: Backfill, renderer: SeriesRenderer, timelines: Timelines
) -> None:
    """Print the expected size of the file, with the interval and with one sample per period.

    Calculated from one app of each report.
    """
    every, single = Size(), Size()
    seconds = interval or 3600
    for name, periods in run.chosen.items():
        fetching = [app for app in apps if any(report.name == name for report in app.reports)]
        moment = None
        for app in fetching:
            for moment in timelines.of(app, {name: periods}):  # noqa: B007 (the last one)
                pass
            if moment is not None:
                break
        if moment is None:
            continue
        first, last = timelines.bounds(REPORTS[name], periods)
        every += expected_size(renderer, moment, len(fetching) * max(last - first, 0) / seconds)
        single += expected_size(renderer, moment, len(fetching) * len(periods))
    _inform(
        f"expected size: {_size(every)} with --sample-interval={format_duration(seconds)},"
        f" {_size(single)} with --sample-interval=period"
    )


def _size(size: Size) -> str:
    return f"{size.samples:,} samples ({size.bytes / 1e6:,.1f} MB)"


def _evaluate(config: Config, given: BackfillOptions, run: Backfill, now: float) -> None:
    evaluation = Evaluation()
    timelines = run.timelines(now)
    for app in config.apps:
        evaluation.add(app, timelines.of(app, run.chosen))
    (print_json if given.format == "json" else print_table)(evaluation)


def _list_gaps(run: Backfill) -> None:
    gaps = list(run.gaps())
    if gaps:
        _inform("periods without data:")
    for gap in gaps:
        _inform(f"  {gap.app.appid}: {gap.report.name}: {_periods(gap)}")


def _periods(gap: Gap) -> str:
    number = gap.last.periods_since(gap.first) + 1
    if number == 1:
        return gap.first.label
    return f"{gap.first.begin_date} to {gap.last.end_date} ({number} {gap.report.period.NAME}s)"

"""A store whose file is replaced, removed or foreign, or has flipped bits."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from harness import FakeClock, Samples, exposed, served, wired
from structlog.testing import capture_logs

from exporter.periods import Week
from exporter.reports import DAILY, MONTHLY, WEEKLY, History, Reading, StoredReading
from exporter.store import Change, Lock, Locked, Store
from exporter.store.files import DATABASE
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


NOW = 1795485600.0  # Tue 2026-11-24 10:00 Beijing
W47 = Week.from_ref_date("20261116-20261122")
APPS = tuple(
    SimulatedApp(f"wx{number:016x}", f"secret-of-app-{number}", Audience(1000 * number)) for number in (1, 2, 3)
)


def reading(week: Week, visitors: float = 754) -> StoredReading:
    return StoredReading(Reading(WEEKLY, week, (2470, 8913, visitors, None, 226.4748, 69.5, 0)), 1.0)


def readings(folder: Path, *weeks: Week) -> None:
    """Create a store with these weeks of one app, and close it."""
    store = Store(str(folder), "api.weixin.qq.com", FakeClock(NOW))
    store.save([Change("wx1", WEEKLY, reading(week, 100)) for week in weeks])
    store.close()


def stored_in(folder: Path) -> set[tuple[str, int]]:
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        return {*db.execute("SELECT appid, period FROM reading JOIN subject ON id = subject")}


def live(store: Store) -> StoredReading:
    """Return the live week of the first app in the form in which it is saved."""
    history = store.read("wx1", WEEKLY, 50).history
    assert history.live is not None
    found = history.reading(history.live)
    assert found is not None
    return StoredReading(found, history.first_seen)


@pytest.fixture
def running_store(tmp_path: Path) -> Iterator[tuple[Store, FakeClock, Lock]]:
    clock = FakeClock(NOW)
    lock = Lock(tmp_path / "data")
    store = Store(str(tmp_path / "data"), "api.weixin.qq.com", clock, lock)
    store.save([Change("wx1", WEEKLY, reading(W47)), Change("wx2", WEEKLY, reading(W47))])
    yield store, clock, lock
    store.close()
    lock.close()


def moved_over(tmp_path: Path) -> None:
    """Copy a file over the open one, while the exporter runs."""
    (tmp_path / "backup" / DATABASE).rename(tmp_path / "data" / DATABASE)


def folder_exchanged(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "backup").rename(tmp_path / "data")


@pytest.mark.parametrize("restore", [moved_over, folder_exchanged])
def test_a_restored_backup_is_opened_and_completed(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path, restore: Callable[[Path], None]
) -> None:
    store, clock, lock = running_store
    older = [W47.before(number) for number in range(24)]
    readings(tmp_path / "backup", *older)
    restore(tmp_path)
    clock.now += 61
    with capture_logs() as logs:
        assert store.reopen_if_due()
    assert [(line["event"], line["added"]) for line in logs] == [("store reopened", 1)]
    assert lock.is_current
    store.save([Change("wx3", WEEKLY, reading(W47))])
    expected = {("wx1", int(week.begin_date)) for week in older} | {("wx2", 20261116), ("wx3", 20261116)}
    assert stored_in(tmp_path / "data") == expected
    assert live(store) == reading(W47, 100)  # the figures of the backup stay
    assert len(store.read("wx1", WEEKLY, 50).stored) == 24


def test_a_backup_opened_first_by_another_process_is_kept(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path
) -> None:
    """SQLite replays a write-ahead log that lies beside a file into it; there must be none between two writes."""
    store, clock, _ = running_store
    older = [W47.before(number) for number in range(24)]
    readings(tmp_path / "backup", *older)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["exporter.lock", DATABASE]
    moved_over(tmp_path)
    fetch = Store(str(tmp_path / "data"), "api.weixin.qq.com", clock)
    assert fetch.read("wx1", WEEKLY, 50).stored == frozenset(older)
    fetch.close()
    assert store.reopen_if_due()
    assert len(stored_in(tmp_path / "data")) == 25


def test_nothing_is_written_to_a_replaced_file(running_store: tuple[Store, FakeClock, Lock], tmp_path: Path) -> None:
    store, _, _ = running_store
    readings(tmp_path / "backup", W47.before())
    moved_over(tmp_path)
    store.save([Change("wx3", WEEKLY, reading(W47))])
    assert stored_in(tmp_path / "data") == {("wx1", 20261109)}
    assert store.reopen_if_due()
    assert ("wx3", 20261116) in stored_in(tmp_path / "data")


def test_a_removed_lock_alone_harms_no_other_exporter(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path
) -> None:
    store, clock, _ = running_store
    (tmp_path / "data" / "exporter.lock").unlink()
    lock = Lock(tmp_path / "data")
    other = Store(str(tmp_path / "data"), "api.weixin.qq.com", clock, lock)
    other.save([Change("wx9", WEEKLY, reading(W47))])
    with capture_logs():
        store.reopen_if_due()
    assert "another exporter runs on" in store.problem
    store.save([Change("wx8", WEEKLY, reading(W47))])
    other.save([Change("wx9", WEEKLY, reading(W47.before()))])
    assert stored_in(tmp_path / "data") == {("wx1", 20261116), ("wx2", 20261116), ("wx9", 20261116), ("wx9", 20261109)}
    assert store.read("wx8", WEEKLY, 9).stored == {W47}
    other.close()
    lock.close()


def test_a_directory_without_a_lock_gets_its_file_back(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    (tmp_path / "exporter.lock").mkdir()
    with capture_logs():
        store = Store(str(tmp_path), "api.weixin.qq.com", clock, Lock(tmp_path))
    store.save([Change("wx1", WEEKLY, reading(W47))])
    (tmp_path / DATABASE).unlink()
    with capture_logs():
        assert store.reopen_if_due()
    assert store.problem == ""
    assert stored_in(tmp_path) == {("wx1", 20261116)}
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE figure SET value = 101 WHERE value = 100",
        "PRAGMA foreign_keys = OFF; UPDATE reading SET period = 20261012 WHERE period = 20261116",
    ],
)
def test_an_intact_reading_replaces_a_damaged_one(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path, damage: str
) -> None:
    store, _, _ = running_store
    readings(tmp_path / "backup", W47)
    with closing(sqlite3.connect(tmp_path / "backup" / DATABASE)) as db:
        db.executescript(damage)
    moved_over(tmp_path)
    with capture_logs():
        assert store.reopen_if_due()
    assert store.problem == ""
    assert live(store) == reading(W47)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE subject SET host = CAST(x'ff' AS BLOB) WHERE appid = 'wx2'",
        "UPDATE term SET name = CAST(x'76ff' AS TEXT) WHERE name = 'visit_pv'",
        "UPDATE figure SET dimension = CAST(x'ff' AS TEXT) WHERE value = 100 AND subject = 2",
    ],
)
def test_invalid_utf8_does_not_stop_the_upgrade(tmp_path: Path, damage: str) -> None:
    readings(tmp_path, W47)
    store = Store(str(tmp_path), "api.weixin.qq.com", FakeClock(NOW))
    store.save([Change("wx2", WEEKLY, reading(W47, 100))])
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.executescript(f"ALTER TABLE reading DROP COLUMN checksum; PRAGMA user_version = 1; {damage}")
    with capture_logs():
        store = Store(str(tmp_path), "api.weixin.qq.com", FakeClock(NOW))
    assert store.problem == ""
    found = store.read("wx1", WEEKLY, 9)
    store.close()
    assert found.stored == {W47}


def test_a_removed_directory_is_recreated_and_locked(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path
) -> None:
    store, clock, _ = running_store
    shutil.rmtree(tmp_path / "data")
    clock.now += 61
    assert store.reopen_if_due()
    assert stored_in(tmp_path / "data") == {("wx1", 20261116), ("wx2", 20261116)}
    with pytest.raises(Locked):
        Lock(tmp_path / "data")


def test_a_removed_lock_is_acquired_again(running_store: tuple[Store, FakeClock, Lock], tmp_path: Path) -> None:
    store, clock, _ = running_store
    (tmp_path / "data" / "exporter.lock").unlink()
    clock.now += 61
    store.reopen_if_due()
    with pytest.raises(Locked):
        Lock(tmp_path / "data")


def test_a_directory_locked_by_another_exporter_is_left_alone(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path
) -> None:
    store, clock, _ = running_store
    shutil.rmtree(tmp_path / "data")
    other = Lock(tmp_path / "data")
    clock.now += 61
    with capture_logs():
        assert not store.reopen_if_due()
    assert "another exporter runs on" in store.problem
    assert store.read("wx2", WEEKLY, 9).stored == {W47}
    assert not (tmp_path / "data" / DATABASE).exists()
    other.close()
    clock.now += 61
    assert store.reopen_if_due()
    assert stored_in(tmp_path / "data") == {("wx1", 20261116), ("wx2", 20261116)}


def test_a_corrupt_replacement_is_moved_aside(running_store: tuple[Store, FakeClock, Lock], tmp_path: Path) -> None:
    store, clock, _ = running_store
    (tmp_path / "rubbish").write_bytes(b"no database " * 500)
    (tmp_path / "rubbish").rename(tmp_path / "data" / DATABASE)
    clock.now += 61
    with capture_logs() as logs:
        assert store.reopen_if_due()
    (aside,) = (tmp_path / "data").glob("*.corrupt-*Z")
    assert aside.read_bytes().startswith(b"no database")
    assert [line["moved_to"] for line in logs if "moved_to" in line] == [str(aside)]
    assert stored_in(tmp_path / "data") == {("wx1", 20261116), ("wx2", 20261116)}


@pytest.mark.parametrize("application_id", [0, 0x12345678])
def test_the_database_of_another_program_is_unchanged(tmp_path: Path, application_id: int) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute(f"PRAGMA application_id = {application_id}")
        db.execute("CREATE TABLE recipes (title TEXT)")
    before = (tmp_path / DATABASE).read_bytes()
    with capture_logs() as logs:
        store = Store(str(tmp_path), "api.weixin.qq.com", FakeClock(NOW))
    store.save([Change("wx1", WEEKLY, reading(W47))])
    assert store.problem == (
        f"{tmp_path / DATABASE} is the database of another program: move it, or set another --storage.path"
    )
    assert [line["event"] for line in logs] == ["store unavailable, continuing in memory"]
    assert store.read("wx1", WEEKLY, 9).stored == {W47}
    store.close()
    assert (tmp_path / DATABASE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-journal"])
def test_a_pipe_in_place_of_the_file_does_not_block(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with capture_logs():
        store = Store(str(tmp_path), "api.weixin.qq.com", FakeClock(NOW))
    assert "is not a regular file" in store.problem
    store.close()


def test_a_restored_backup_is_exposed_without_requests(tmp_path: Path) -> None:
    """History that the backup has is not requested again, and its figures are exposed."""
    clock = FakeClock(NOW)
    with served(APPS, clock) as (wechat, base_url):
        with wired(APPS, base_url, clock, str(tmp_path / "backup"), history_weeks=9) as engine:
            engine.poller.drain()
        wechat.put(SimulatedApp("wx9999999999999999", "secret-of-the-other-app"))
        with wired(APPS, base_url, clock, str(tmp_path / "data"), history_weeks=2) as engine:
            engine.poller.drain()
            assert ("typical_week_visitors", APPS[0].appid, W47.label) not in exposed(engine)
            (tmp_path / "backup" / DATABASE).rename(tmp_path / "data" / DATABASE)
            seen = len(wechat.calls)
            clock.now += 61
            engine.poller.drain()
            found = exposed(engine)
            assert len(wechat.calls) == seen
    assert all(("typical_week_visitors", app.appid, W47.label) in found for app in APPS)


def test_flipped_bits_change_no_figure(tmp_path: Path) -> None:
    """Fifty random flips in the pages of the store: every figure is right, some after another request."""
    clock = FakeClock(NOW)
    chance = random.Random(10)  # noqa: S311 (no secret)
    silent = 0
    with served(APPS, clock) as (wechat, base_url):
        with wired(APPS, base_url, clock, str(tmp_path / "good"), history_weeks=9) as engine:
            engine.poller.drain()
            right = figures_of(exposed(engine))
            true = {
                (WEEKLY.metric(field).removeprefix("wechat_miniprogram_"), app.appid, week.label): wechat.row(
                    app.appid, week
                )[field.wechat]
                for app in APPS
                for week in (W47.before(number) for number in range(9))
                for field in WEEKLY.fields
            }
        good = (tmp_path / "good" / DATABASE).read_bytes()
        for number in range(50):
            folder = tmp_path / str(number)
            folder.mkdir()
            place, bit = chance.randrange(4096, len(good)), 1 << chance.randrange(8)
            (folder / DATABASE).write_bytes(good[:place] + bytes([good[place] ^ bit]) + good[place + 1 :])
            with capture_logs() as logs, wired(APPS, base_url, clock, str(folder), history_weeks=9) as engine:
                stored = figures_of(exposed(engine))
                live = {key: value for key, value in stored.items() if key[0].startswith("weekly_")}
                assert live.items() <= true.items(), f"bit {bit} at {place}"
                silent += stored.keys() < right.keys() and not [line for line in logs if line["log_level"] == "error"]
                engine.poller.drain()
                assert figures_of(exposed(engine)) == right, f"bit {bit} at {place}"
    assert len(right) == len(APPS) * 3 * len(WEEKLY.fields)
    assert silent == 0


def figures_of(samples: Samples) -> Samples:
    """Return the live figures of the weekly report and those that they are compared with."""
    metrics = {WEEKLY.metric(field) for field in WEEKLY.fields}
    metrics |= {WEEKLY.comparison_metric(each, field) for field in WEEKLY.fields for each in WEEKLY.comparisons}
    names = {metric.removeprefix("wechat_miniprogram_") for metric in metrics}
    return {key: value for key, value in samples.items() if key[0] in names}


def test_a_restored_backup_of_all_reports_is_completed(tmp_path: Path) -> None:
    """History that a backup has is not requested again, and periods that it lacks are added from memory."""
    clock = FakeClock(NOW)
    reports = (WEEKLY, DAILY, MONTHLY)
    with served(APPS, clock) as (wechat, base_url):
        with wired(APPS, base_url, clock, str(tmp_path / "backup"), reports, history_weeks=9) as engine:
            engine.poller.drain()
            expected = {status.appid: [of.history for of in status.reports] for status in engine.poller.statuses()}
        with wired(APPS, base_url, clock, str(tmp_path / "data"), reports, history_weeks=2) as engine:
            engine.poller.drain()
            (tmp_path / "backup" / DATABASE).rename(tmp_path / "data" / DATABASE)
            seen = len(wechat.calls)
            clock.now += 61
            engine.poller.drain()
            found = {status.appid: [of.history for of in status.reports] for status in engine.poller.statuses()}
            assert len(wechat.calls) == seen
    assert found == expected
    assert [len(history.periods) for history in found[APPS[0].appid]] == [9, 63, 3]


def test_another_report_in_a_replaced_file_is_added_from_memory(
    running_store: tuple[Store, FakeClock, Lock], tmp_path: Path
) -> None:
    store, _, _ = running_store
    day = DAILY.period.containing(NOW)
    row = StoredReading(Reading(DAILY, day, (1, 2, 3, 4, 5.5, 6.5, 7.5)), 1.0)
    store.save([Change("wx1", DAILY, row)])
    readings(tmp_path / "backup", W47)
    moved_over(tmp_path)
    assert store.reopen_if_due()
    assert store.read("wx1", DAILY, 9).history == History.of(DAILY, [row])
    assert live(store) == reading(W47, 100)

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rig import Wall
from structlog.testing import capture_logs

from exporter.periods import Week
from exporter.reports import WEEKLY, Reading
from exporter.status import Answer, Kept, Recent, State
from exporter.store import Change, Known, Lock, Locked, Miss, Store
from exporter.store.files import DATABASE, LOCK
from exporter.store.schema import APPLICATION_ID, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "api.weixin.qq.com"
ROOT = Path(__file__).parent.parent
APPID = "wx0123456789abcdef"
W3 = Week(date(2026, 11, 16))
W2, W1 = W3.before(), W3.before(2)
ANSWER = Answer(W3, State.FAILED, 5.0, 4.0, "other", "words", 3, 2.0, history_stopped=True, succeeded=1.0)


NOW = 1_795_000_000.0


def kept(week: Week, visitors: float | None = 754, first_seen: float = 1.0) -> Kept:
    return Kept(Reading(WEEKLY, week, (2470, 8913, visitors, None, 226.4748, 69.5, 0)), first_seen)


def change(what: Kept | Miss | Answer, appid: str = APPID) -> Change:
    return Change(appid, WEEKLY, what)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    stores = []

    def open_store(folder: Path | str = tmp_path, host: str = HOST, clock: Callable[[], float] | None = None) -> Store:
        stores.append(Store(str(folder), host, clock or Wall(NOW)))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def recent(*weeks: Kept) -> Recent:
    return reduce(Recent.with_week, weeks, Recent())


def known(store: Store, appid: str = APPID) -> Known:
    return store.read(appid, WEEKLY, 520)


def test_what_is_kept_is_there_after_a_restart(opened: Callable[..., Store]) -> None:
    everything = (change(kept(W3)), change(kept(W2, 0)), change(Miss(W1, 7.0, final=True)), change(ANSWER))
    opened().save(everything)
    expected = Known(ANSWER, recent(kept(W3), kept(W2, 0)), frozenset({W2, W3}), (Miss(W1, 7.0, final=True),))
    assert known(opened()) == expected


def test_nothing_is_known_of_an_app_never_asked(opened: Callable[..., Store]) -> None:
    store = opened()
    assert known(store) == Known()
    store.save([change(ANSWER)])
    assert known(store, "wxother") == Known()
    assert known(store) == Known(answer=ANSWER)


def test_zero_stays_zero_and_missing_stays_missing(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(kept(W3, None))])
    current = known(store).recent.current
    assert current is not None
    assert current.reading.values == (2470, 8913, None, None, 226.4748, 69.5, 0)


def test_a_revision_replaces_the_whole_row_and_a_row_ends_a_miss(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(kept(W3)), change(Miss(W2, 1.0, final=False))])
    revised = Kept(Reading(WEEKLY, W3, (1, None, None, None, None, None, None)), 1.0)
    store.save([change(revised), change(kept(W2))])
    assert known(store) == Known(None, recent(revised, kept(W2)), frozenset({W2, W3}))


def test_the_week_before_is_given_only_if_it_is_exactly_that(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(kept(W3)), change(kept(W1))])
    assert known(store).recent.previous is None
    assert known(store).recent.current == kept(W3)


def test_every_week_is_kept_and_as_many_are_named_as_were_asked_for(opened: Callable[..., Store]) -> None:
    store = opened()
    weeks = [W3.before(number) for number in range(120)]
    store.save([change(kept(week)) for week in weeks])
    assert known(store).held == set(weeks)
    assert store.read(APPID, WEEKLY, 8).held == set(weeks[:8])
    for wanted in (2, 8):
        assert store.read(APPID, WEEKLY, wanted).recent.weeks == tuple(map(kept, weeks[:5]))


def test_figures_of_one_host_never_mix_with_those_of_another(opened: Callable[..., Store]) -> None:
    opened(host="127.0.0.1:1234").save([change(kept(W3, 1)), change(ANSWER)])
    assert known(opened()) == Known()


def test_the_folder_is_made_and_only_its_owner_can_read_the_file(opened: Callable[..., Store], tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    opened(folder).save([change(kept(W3))])
    assert stat.S_IMODE((folder / DATABASE).stat().st_mode) == 0o600
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())


def test_a_dimension_and_another_report_fit_the_schema_as_rows(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened().save([change(kept(W3))])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("INSERT INTO term (name) VALUES ('weekly_retain'), ('visit_uv_new')")
        ids = dict(db.execute("SELECT name, id FROM term"))
        db.execute("INSERT INTO reading VALUES (1, ?, 20261116, 0, 1)", (ids["weekly_retain"],))
        rows = [(1, ids["weekly_retain"], 20261116, ids["visit_uv_new"], str(key), 10 - key) for key in range(5)]
        db.executemany("INSERT INTO figure VALUES (?, ?, ?, ?, ?, ?)", rows)
        found = db.execute("SELECT dimension, value FROM figures WHERE report = 'weekly_retain'").fetchall()
    assert found == [("0", 10), ("1", 9), ("2", 8), ("3", 7), ("4", 6)]
    assert known(opened()).recent.current == kept(W3)


def test_in_memory_nothing_is_written(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened(":memory:")
    store.save([change(kept(W3))])
    store.mend()
    assert known(store).recent.current == kept(W3)
    assert store.problem == ""
    assert list(tmp_path.iterdir()) == []


def test_the_file_says_whose_it_is_and_which_version(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_file_of_a_newer_version_is_left_alone_and_the_exporter_goes_on_from_memory(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    opened().save([change(kept(W3))])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / DATABASE).read_bytes()
    with capture_logs() as logs:
        store = opened()
    assert "written by a newer version" in store.problem
    assert f"version is {VERSION + 1}" in store.problem
    assert [line["log_level"] for line in logs] == ["error"]
    store.save([change(kept(W2))])
    assert known(store).recent.current == kept(W2)
    assert (tmp_path / DATABASE).read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database at all, " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_corrupt_file_is_moved_aside_with_its_companions_and_a_new_one_begun(
    opened: Callable[..., Store], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    for companion in ("-wal", "-journal"):
        (tmp_path / f"{DATABASE}{companion}").write_bytes(b"left over")
    with capture_logs() as logs:
        store = opened()
    assert store.problem == ""
    store.save([change(kept(W3))])
    assert known(store).recent.current == kept(W3)
    aside = tmp_path / f"{DATABASE}.corrupt-20261118T110640Z"
    assert aside.read_bytes() == content
    assert [line["log_level"] for line in logs] == ["error"]
    assert logs[0]["moved_to"] == str(aside)


def test_a_second_corrupt_file_in_the_same_second_does_not_overwrite_the_first(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    for content in (b"first " * 500, b"second " * 500):
        (tmp_path / DATABASE).write_bytes(content)
        opened().close()
        for companion in tmp_path.glob(f"{DATABASE}-*"):
            companion.unlink()
    found = {path.read_bytes()[:5] for path in tmp_path.glob(f"{DATABASE}.corrupt-*Z*") if path.stat().st_size > 1000}
    assert found == {b"first", b"secon"}


def test_corruption_met_while_running_moves_the_file_aside_and_goes_on(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    store = opened()
    store.save([change(kept(W1))])
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = tmp_path / DATABASE
    file.write_bytes(b"\xff" * file.stat().st_size)
    store._db.close()
    store._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    with capture_logs() as logs:
        store.save([change(kept(W3))])
    assert store.problem == ""
    assert known(store).held == {W3}
    assert len(list(tmp_path.glob("*.corrupt-*"))) >= 1
    assert [line["event"] for line in logs] == ["store was corrupt: moved aside, a new one begun"]


def test_corruption_met_by_a_reader_moves_the_file_aside_too(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(kept(W1))])
    store._db.close()
    for path in tmp_path.iterdir():
        path.write_bytes(b"\xff" * 8192)
    store._db = sqlite3.connect(tmp_path / DATABASE, isolation_level=None, check_same_thread=False)
    with capture_logs() as logs:
        assert known(store) == Known()
    assert [line["event"] for line in logs] == ["store was corrupt: moved aside, a new one begun"]


def test_a_file_that_stays_unusable_is_tried_again_in_silence(opened: Callable[..., Store], tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()
    wall = Wall(NOW)
    store = opened(clock=wall)
    assert "is not a regular file" in store.problem
    store.save([change(kept(W3))])
    with capture_logs() as logs:
        for _ in range(3):
            wall.now += 61
            store.mend()
    assert logs == []
    assert known(store).recent.current == kept(W3)
    (tmp_path / DATABASE).rmdir()
    wall.now += 61
    store.mend()
    assert store.problem == ""
    assert known(opened()).recent.current == kept(W3)


DAMAGE = [
    ("UPDATE answer SET state = 'rate_limited'", "last result"),
    ("UPDATE answer SET at = 'x'", "last result"),
    ("UPDATE answer SET failures = 'x'", "last result"),
    ("UPDATE answer SET succeeded = 1e300", "last result"),
    ("UPDATE answer SET since = -1", "last result"),
    ("UPDATE answer SET retry_after = 9e999", "last result"),
    ("UPDATE answer SET period = 5", "last result"),
    ("UPDATE miss SET at = -1", "missing period 20261102"),
    ("UPDATE miss SET period = 20261103", "missing period 20261103"),
    ("UPDATE figure SET value = 'abc' WHERE value = 754", "period 20261116"),
    ("UPDATE figure SET value = 9e999 WHERE value = 754", "period 20261116"),
    ("UPDATE figure SET value = -5 WHERE value = 754", "period 20261116"),
    ("UPDATE figure SET value = 755 WHERE value = 754", "period 20261116"),
    ("DELETE FROM figure WHERE value = 754", "period 20261116"),
    ("DELETE FROM figure", "period 20261116"),
    ("UPDATE reading SET first_seen = 2", "period 20261116"),
    ("UPDATE term SET name = 'visit_ux' WHERE name = 'visit_uv'", "period 20261116"),
    ("PRAGMA foreign_keys = OFF; UPDATE reading SET period = 99991227", "period 99991227"),
    ("PRAGMA foreign_keys = OFF; UPDATE reading SET period = 20261117", "period 20261117"),
    ("PRAGMA foreign_keys = OFF; UPDATE reading SET period = 20261109", "period 20261109"),
    (
        """UPDATE figure SET value = 9e999 WHERE value = 754;
        PRAGMA user_version = 1; ALTER TABLE reading DROP COLUMN checksum""",
        "period 20261116",
    ),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE)
def test_damaged_rows_count_as_missing(opened: Callable[..., Store], tmp_path: Path, damage: str, said: str) -> None:
    """An impossible value, or one that is not what was written: that row is missing, is logged, and the rest stays."""
    store = opened()
    store.save([change(kept(W3)), change(ANSWER), change(Miss(W1, 7.0, final=True))])
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.executescript(damage)
    with capture_logs() as logs:
        store = opened()
        found = known(store)
    assert found.damaged == (said,)
    assert found.answer == (None if said == "last result" else ANSWER)
    assert found.held == (frozenset() if said.startswith("period") else {W3})
    assert found.misses == (() if said.startswith("missing") else (Miss(W1, 7.0, final=True),))
    assert [(line["event"], line["damaged"]) for line in logs] == [("stored data damaged", said)]
    assert list(tmp_path.glob("*.corrupt-*")) == []
    store.save([change(kept(W3)), change(ANSWER)])
    assert (known(store).recent.current, known(store).answer) == (kept(W3), ANSWER)


def test_a_broken_text_is_a_wrong_one_and_no_error(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(kept(W3)), change(ANSWER)])
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("UPDATE answer SET message = CAST(x'41ff' AS TEXT)")
    answer = known(opened()).answer
    assert answer == replace(ANSWER, message="A\ufffd")


def test_a_missing_table_is_corruption(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened().close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("DROP TABLE miss")
    with capture_logs() as logs:
        assert opened().problem == ""
    assert [line["event"] for line in logs] == ["store was corrupt: moved aside, a new one begun"]


def test_no_single_broken_byte_of_the_first_page_stops_the_store(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(kept(W3)), change(ANSWER)])
    store.close()
    good = (tmp_path / DATABASE).read_bytes()
    for place in range(0, 4096, 37):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / DATABASE).write_bytes(good[:place] + bytes([good[place] ^ 0xDB]) + good[place + 1 :])
        with capture_logs():
            store = opened(folder)
            known(store)
            store.save([change(kept(W2))])
            assert W2 in known(store).held
            store.close()


def test_a_file_that_is_taken_away_while_running_is_written_anew(opened: Callable[..., Store], tmp_path: Path) -> None:
    wall = Wall(NOW)
    store = opened(clock=wall)
    store.save([change(kept(W3)), change(ANSWER)])
    for path in tmp_path.iterdir():
        path.unlink()
    wall.now += 61
    with capture_logs() as logs:
        store.mend()
    assert [line["event"] for line in logs] == ["store replaced, opened again"]
    assert store.problem == ""
    assert known(opened()) == known(store) == Known(ANSWER, recent(kept(W3)), held=frozenset({W3}))


def test_a_file_that_is_taken_away_for_good_leaves_the_figures_in_memory(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    wall = Wall(NOW)
    store = opened(clock=wall)
    store.save([change(kept(W3))])
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / DATABASE).mkdir()
    wall.now += 61
    with capture_logs():
        store.mend()
    assert "is not a regular file" in store.problem
    assert known(store).recent.current == kept(W3)


def test_a_closed_store_keeps_nothing_and_harms_nothing(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(kept(W3))])
    store.close()
    store.save([change(kept(W2))])
    store.mend()
    assert list(tmp_path.glob("*.corrupt-*")) == []
    assert known(opened()).held == {W3}


def test_a_full_disk_is_said_once_and_the_figures_reach_the_file_when_there_is_room(
    opened: Callable[..., Store],
) -> None:
    wall = Wall(NOW)
    store = opened(clock=wall)
    store.save([change(kept(W1))])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    weeks = [W3.before(number) for number in range(200)]
    with capture_logs() as logs:
        store.save([change(kept(week)) for week in weeks])
        store.save([change(ANSWER)])
    assert "database or disk is full" in store.problem
    assert [line["log_level"] for line in logs] == ["error"]
    assert known(store).held == set(weeks)
    assert known(store).answer == ANSWER
    store.mend()
    assert store.problem != ""
    wall.now += 61
    with capture_logs() as logs:
        store.mend()
    assert store.problem == ""
    assert [line["event"] for line in logs] == ["store available again"]
    assert known(opened()) == known(store)
    assert known(store).held == set(weeks)


def test_a_real_full_disk_is_survived(opened: Callable[..., Store], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], check=False).returncode
    ):
        pytest.skip("a small disk can be mounted only by root")
    try:
        store = opened(disk)
        (disk / "ballast").write_bytes(b"x" * (300 << 10))
        for year in range(40):
            store.save([change(kept(W3.before(52 * year + number), year)) for number in range(52)])
        assert "full" in store.problem
        assert len(known(store).held) == 520
        store.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


READ_ONLY = """
import sys
from pathlib import Path
from exporter import logs
from exporter.reports import WEEKLY
from exporter.store import Store, Lock
logs.configure("info", "logfmt")
store = Store(sys.argv[1], "api.weixin.qq.com", lambda: 0.0)
print(store.problem)
print(store.read("wx0123456789abcdef", WEEKLY, 8).recent.current)
Lock(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_read_only_folder_gives_its_figures_and_the_exporter_goes_on_from_memory(
    opened: Callable[..., Store], tmp_path: Path, killed: bool
) -> None:
    folder = tmp_path / "store"
    store = opened(folder)
    store.save([change(kept(W3))])
    store.close()
    if killed:  # what kill -9 of an older version left behind: everything is in the log
        with closing(sqlite3.connect(folder / DATABASE)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("UPDATE figure SET value = value")
            db.commit()
            for name in (DATABASE, f"{DATABASE}-wal"):
                (tmp_path / name).write_bytes((folder / name).read_bytes())
    if killed:
        for name in (DATABASE, f"{DATABASE}-wal"):
            (tmp_path / name).rename(folder / name)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, str(folder)]
    if os.geteuid() == 0:  # who may write everywhere but on a read-only mount
        remount = 'mount -o bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", remount, str(folder), *command]
        if subprocess.run([*command[:6], "true"], capture_output=True, check=False).returncode:
            pytest.skip("neither a user without rights nor a read-only mount can be had")
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    folder.chmod(0o755)
    problem, current = result.stdout.splitlines()
    assert "cannot be used" in problem or "takes no writes" in problem
    assert current == repr(kept(W3))
    assert 'msg="storage takes no lock"' in result.stderr
    assert 'msg="store unavailable, continuing in memory"' in result.stderr


def test_only_one_exporter_runs_on_a_folder(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "new")
    assert (tmp_path / "new" / LOCK).exists()
    with pytest.raises(Locked, match="another exporter runs on"):
        Lock(tmp_path / "new")
    lock.close()
    Lock(tmp_path / "new").close()


def test_two_processes_can_write_to_one_file(opened: Callable[..., Store]) -> None:
    exporter, fetch = opened(), opened()
    for number in range(20):
        exporter.save([change(kept(W3.before(number)))])
        fetch.save([change(replace(ANSWER, at=float(number)), "wxother")])
    assert exporter.problem == fetch.problem == ""
    assert len(known(fetch).held) == 20

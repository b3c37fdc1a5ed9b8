"""Basic authentication: which credentials are accepted, how long it takes, and what is cached."""

from __future__ import annotations

import base64
import itertools
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from exporter.web import passwords
from exporter.web.passwords import Passwords


def hash_of(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


def basic(user: str | bytes, password: str | bytes) -> str:
    pair = b":".join(part.encode() if isinstance(part, str) else part for part in (user, password))
    return f"Basic {base64.b64encode(pair).decode()}"


USERS = [
    ("alice", hash_of(b"right")),
    ("bob", hash_of(b"pass:word")),
    ("müller", hash_of("geheimnis-日本".encode())),
    ("latin", hash_of(b"caf\xe9")),
    ("", hash_of(b"")),
    ("long", hash_of(b"x" * 72)),
    ("zero", hash_of(b"a\0b")),
]
"""One for each unusual content of a name or a password."""


def status(guard: Passwords, authorization: str) -> int:
    refused = guard.challenge(authorization)
    return 200 if refused is None else refused.status


CREDENTIALS = [
    ("right", basic("alice", "right"), 200),
    ("the scheme in any case", basic("alice", "right").replace("Basic", "bAsIC"), 200),
    ("a password with a colon", basic("bob", "pass:word"), 200),
    ("names and passwords of the world", basic("müller", "geheimnis-日本"), 200),
    ("a password that is no UTF-8", basic("latin", b"caf\xe9"), 200),
    ("an empty user with an empty password, as configured", basic("", ""), 200),
    ("72 bytes", basic("long", "x" * 72), 200),
    ("more than 72 bytes, of which bcrypt knows no more", basic("long", "x" * 72 + "whatever"), 200),
    ("71 bytes", basic("long", "x" * 71), 401),
    ("a zero byte", basic("zero", b"a\0b"), 200),
    ("up to a zero byte", basic("zero", b"a"), 401),
    ("wrong", basic("alice", "wrong"), 401),
    ("empty", basic("alice", ""), 401),
    ("in other letters", basic("alice", "Right"), 401),
    ("with a line end", basic("alice", "right\n"), 401),
    ("the hash itself", basic("alice", USERS[0][1]), 401),
    ("another user's", basic("bob", "right"), 401),
    ("an unknown user", basic("mallory", "right"), 401),
    ("a user in other letters", basic("Alice", "right"), 401),
    ("a user that is no UTF-8", basic(b"\xff", "right"), 401),
    ("none", "", 401),
    ("a scheme alone", "Basic", 401),
    ("a scheme and a space", "Basic ", 401),
    ("no colon", f"Basic {base64.b64encode(b'alice').decode()}", 401),
    ("in the clear", "Basic alice:right", 401),
    ("base64 cut short", basic("alice", "right").rstrip("=")[:-1], 401),
    ("base64 with something in it", basic("alice", "right").replace("Y", "Y!", 1), 401),
    ("another alphabet", "Basic é", 401),
    ("another scheme", basic("alice", "right").replace("Basic", "Bearer"), 401),
    ("two headers, joined", f"{basic('alice', 'right')}, {basic('alice', 'right')}", 401),
]


@pytest.mark.parametrize(("header", "expected"), [row[1:] for row in CREDENTIALS], ids=[row[0] for row in CREDENTIALS])
def test_only_correct_credentials_are_accepted(header: str, expected: int) -> None:
    guard = Passwords(USERS)
    assert [status(guard, header) for _ in range(2)] == [expected] * 2  # cached or not


def test_challenge_names_the_scheme_and_quotes_nothing() -> None:
    refused = Passwords(USERS).challenge(basic("alice", "wrong"))
    assert refused is not None
    assert dict(refused.headers)["WWW-Authenticate"] == 'Basic realm="exporter", charset="UTF-8"'
    assert refused.body == b"user name and password required\n"


def seconds(guard: Passwords, *headers: str) -> float:
    """Return the median of the durations."""

    def one(authorization: str) -> float:
        begun = time.perf_counter()
        guard.challenge(authorization)
        return time.perf_counter() - begun

    return statistics.median(map(one, headers))


def test_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    """A cached password costs no bcrypt check."""
    guard = Passwords([("alice", hash_of(b"right", 9))])
    wrong = seconds(guard, *(basic("alice", f"wrong{n}") for n in range(9)))
    unknown = seconds(guard, *(basic(f"user{n}", "right") for n in range(9)))
    assert guard.challenge(basic("alice", "right")) is None
    known = seconds(guard, *[basic("alice", "right")] * 9)
    assert 0.5 < unknown / wrong < 2
    assert known < wrong / 20


def test_unknown_user_is_checked_against_a_fixed_existing_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {hash_of(b"right", cost).encode() for cost in (4, 5, 6)}
    guard = Passwords([(f"user{n}", hash_.decode()) for n, hash_ in enumerate(hashes)])
    checked: list[bytes] = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hash_: checked.append(hash_) or check(password, hash_))
    strangers = [f"stranger{n}" for n in range(40)]
    for stranger in strangers * 2:
        assert status(guard, basic(stranger, "right")) == 401  # which is the password behind that hash
    assert checked[:40] == checked[40:]
    assert set(checked) == hashes


def test_only_right_passwords_are_cached_and_not_in_plain_text() -> None:
    """At most one password is cached for each user."""
    guard = Passwords(USERS)
    for user, password in itertools.product(("alice", "mallory", USERS[0][1]), ("wrong", "right", USERS[0][1])):
        guard.challenge(basic(user, password))
    for n in range(20):
        assert guard.challenge(basic("long", "x" * 72 + str(n))) is None
    assert set(guard._verified) == {b"alice", b"long"}
    assert b"right" not in b"".join(guard._verified.values())


def test_cache_accepts_no_other_combination_of_credentials() -> None:
    """CVE-2022-46146: a cache keyed by the concatenation of user, hash and password confused them."""
    stored = USERS[0][1]
    guard = Passwords(USERS)
    parts = ["alice", stored, "right", "fakepassword", ""]
    poison = {"".join(chosen) for n in range(1, 4) for chosen in itertools.product(parts, repeat=n)}
    for user in ("alice", "mallory", *poison):
        for password in ("fakepassword", stored, "wrong"):
            assert status(guard, basic(user, password)) == 401
    assert status(guard, basic("alice", "right")) == 200
    for cut in range(1, len("aliceright")):
        user, password = "aliceright"[:cut], "aliceright"[cut:]
        assert status(guard, basic(user, password)) == (200 if user == "alice" else 401)


def test_flood_of_wrong_passwords_does_not_delay_cached_ones() -> None:
    """The queue of waiting checks is limited; others get 503."""
    guard = Passwords([("alice", hash_of(b"right", 8))])
    assert status(guard, basic("alice", "right")) == 200
    over = threading.Event()
    answers: list[int] = []

    def attack(number: int) -> None:
        for n in itertools.count():
            if over.is_set():
                return
            answers.append(status(guard, basic("alice", f"wrong {number} {n}")))
            time.sleep(0.001)

    with ThreadPoolExecutor(60) as pool:
        attacks = [pool.submit(attack, number) for number in range(60)]
        while answers.count(503) < 20 or answers.count(401) < 5:
            time.sleep(0.01)
        known = {status(guard, basic("alice", "right")) for _ in range(20)}
        over.set()
        for attacked in attacks:
            attacked.result()
    assert known == {200}, "a request that waits with the others gets 503"
    assert set(answers) == {401, 503}
    assert status(guard, basic("alice", "wrong")) == 401  # the queue has space again


def test_concurrent_checks_of_one_password_are_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Passwords([("alice", hash_of(b"right", 10))])
    checks: list[bytes] = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hash_: checks.append(hash_) or check(password, hash_))
    with ThreadPoolExecutor(passwords._MAX_WAITING) as pool:
        headers = [basic("alice", "right")] * passwords._MAX_WAITING
        assert set(pool.map(lambda authorization: status(guard, authorization), headers)) == {200}
    assert len(checks) == 1


def test_cached_password_survives_changes_of_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Passwords(USERS)
    assert status(guard, basic("alice", "right")) == status(guard, basic("bob", "pass:word")) == 200
    other = hash_of(b"another")
    following = guard.with_users([("alice", USERS[0][1]), ("bob", other), ("carol", other)])
    checked: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, _hash: bool(checked.append(password)))
    assert status(following, basic("alice", "right")) == 200
    assert checked == []
    assert status(following, basic("bob", "pass:word")) == 401, "the hash differs"
    assert status(following, basic("long", "x" * 72)) == 401, "the removed user is rejected"
    assert len(checked) == 2

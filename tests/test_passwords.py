"""Basic authentication: who comes in, how long it takes, and what is remembered."""

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
"""One for each odd thing that a name or a password may hold."""


def status(guard: Passwords, authorization: str) -> int:
    refused = guard.refusal(authorization)
    return 200 if refused is None else refused.status


CREDENTIALS = [
    ("right", basic("alice", "right"), 200),
    ("the scheme in any case", basic("alice", "right").replace("Basic", "bAsIC"), 200),
    ("a password with a colon", basic("bob", "pass:word"), 200),
    ("names and passwords of the world", basic("müller", "geheimnis-日本"), 200),
    ("a password that is no UTF-8", basic("latin", b"caf\xe9"), 200),
    ("nobody with nothing, for it is configured", basic("", ""), 200),
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


@pytest.mark.parametrize(("said", "expected"), [row[1:] for row in CREDENTIALS], ids=[row[0] for row in CREDENTIALS])
def test_who_comes_in(said: str, expected: int) -> None:
    guard = Passwords(USERS)
    assert [status(guard, said) for _ in range(2)] == [expected] * 2  # remembered or not


def test_a_refusal_says_what_is_needed_and_repeats_nothing() -> None:
    refused = Passwords(USERS).refusal(basic("alice", "wrong"))
    assert refused is not None
    assert dict(refused.headers)["WWW-Authenticate"] == 'Basic realm="exporter", charset="UTF-8"'
    assert refused.body == b"a user name and its password are needed\n"


def seconds(guard: Passwords, *said: str) -> float:
    """The middle one of the durations of all."""

    def one(authorization: str) -> float:
        begun = time.perf_counter()
        guard.refusal(authorization)
        return time.perf_counter() - begun

    return statistics.median(map(one, said))


def test_an_unknown_user_takes_as_long_as_a_wrong_password_and_a_known_password_no_time() -> None:
    guard = Passwords([("alice", hash_of(b"right", 9))])
    wrong = seconds(guard, *(basic("alice", f"wrong{n}") for n in range(9)))
    unknown = seconds(guard, *(basic(f"user{n}", "right") for n in range(9)))
    assert guard.refusal(basic("alice", "right")) is None
    known = seconds(guard, *[basic("alice", "right")] * 9)
    assert 0.5 < unknown / wrong < 2
    assert known < wrong / 20


def test_an_unknown_user_is_like_one_of_the_users_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {hash_of(b"right", cost).encode() for cost in (4, 5, 6)}
    guard = Passwords([(f"user{n}", hash_.decode()) for n, hash_ in enumerate(hashes)])
    asked: list[bytes] = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hash_: asked.append(hash_) or check(password, hash_))
    strangers = [f"stranger{n}" for n in range(40)]
    for stranger in strangers * 2:
        assert status(guard, basic(stranger, "right")) == 401  # which is the password behind that hash
    assert asked[:40] == asked[40:]
    assert set(asked) == hashes


def test_only_right_passwords_are_remembered_one_for_each_user_and_not_as_they_are() -> None:
    guard = Passwords(USERS)
    for user, password in itertools.product(("alice", "mallory", USERS[0][1]), ("wrong", "right", USERS[0][1])):
        guard.refusal(basic(user, password))
    for n in range(20):
        assert guard.refusal(basic("long", "x" * 72 + str(n))) is None
    assert set(guard._right) == {b"alice", b"long"}
    assert b"right" not in b"".join(guard._right.values())


def test_nothing_that_is_asked_can_let_another_in() -> None:
    """CVE-2022-46146: a cache keyed by user, hash and password run together took one for the other."""
    stored = USERS[0][1]
    guard = Passwords(USERS)
    parts = ["alice", stored, "right", "fakepassword", ""]
    poison = {"".join(pieces) for n in range(1, 4) for pieces in itertools.product(parts, repeat=n)}
    for user in ("alice", "mallory", *poison):
        for password in ("fakepassword", stored, "wrong"):
            assert status(guard, basic(user, password)) == 401
    assert status(guard, basic("alice", "right")) == 200
    for cut in range(1, len("aliceright")):
        user, password = "aliceright"[:cut], "aliceright"[cut:]
        assert status(guard, basic(user, password)) == (200 if user == "alice" else 401)


def test_a_flood_of_wrong_passwords_leaves_the_known_ones_alone_and_bounds_those_that_wait() -> None:
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
    assert known == {200}, "what waits with the others gets 503"
    assert set(answers) == {401, 503}
    assert status(guard, basic("alice", "wrong")) == 401  # there is room in the queue again


def test_whoever_waits_for_the_same_right_password_costs_no_second_check(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Passwords([("alice", hash_of(b"right", 10))])
    checks: list[bytes] = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hash_: checks.append(hash_) or check(password, hash_))
    with ThreadPoolExecutor(passwords._QUEUE) as pool:
        said = [basic("alice", "right")] * passwords._QUEUE
        assert set(pool.map(lambda authorization: status(guard, authorization), said)) == {200}
    assert len(checks) == 1


def test_whoever_keeps_the_same_hash_stays_known_when_others_change(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Passwords(USERS)
    assert status(guard, basic("alice", "right")) == status(guard, basic("bob", "pass:word")) == 200
    other = hash_of(b"another")
    following = guard.followed_by([("alice", USERS[0][1]), ("bob", other), ("carol", other)])
    checked: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, _hash: bool(checked.append(password)))
    assert status(following, basic("alice", "right")) == 200
    assert checked == []
    assert status(following, basic("bob", "pass:word")) == 401, "his hash is another one"
    assert status(following, basic("long", "x" * 72)) == 401, "he is out"
    assert len(checked) == 2

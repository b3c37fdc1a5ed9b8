"""Valid configurations and their values."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from config_bad_row import write

from exporter.config import (
    AccessConfig,
    Api,
    App,
    AppSecret,
    Authorizer,
    BrokenFile,
    CloudFunction,
    CloudHosting,
    Config,
    Datacube,
    Defaults,
    EnvSecret,
    Fetch,
    FileSecret,
    HttpFunction,
    LiteralSecret,
    Problem,
    Secret,
    TokenFile,
    TokenUrl,
    load,
)
from exporter.config.app.access_reader import ACCESS_METHODS
from exporter.config.app.addresses import parse_base_url
from exporter.reports import DAILY, MONTHLY, WEEKLY, Thresholds

A, B, C, D = (f"wx{digit * 16}" for digit in "abcd")


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(main: str, files: dict[str, str | bytes] | None = None, environ: dict[str, str] | None = None) -> Config:
    """Load files that only their owner can read."""
    write({"config.yaml": main, **(files or {})}, Path.cwd())
    for file in filter(Path.is_file, Path.cwd().rglob("*")):
        file.chmod(0o600)
    return load(Path("config.yaml"), environ or {})


def secret_of(app: App) -> Secret:
    assert isinstance(app.access, Datacube)
    assert isinstance(app.access.tokens, AppSecret)
    return app.access.tokens.secret


def appids(found: Config) -> list[str]:
    return [app.appid for app in found.apps]


def test_all_options_in_one_configuration() -> None:
    main = f"""\
        fetch:
          interval: 1h30m
          retry_interval: 90s
          ready_after: 0s
          timeout: 2s500ms
          concurrency: 16
          history_weeks: 104
        api:
          base_url: http://127.0.0.1:4321/
        apps:
          - appid: {A}
            name: 'Shop: 商店'
            secret: 'one'
          - {{appid: {B}, secret_file: secrets/two}}
          - {{appid: {C}, secret_env: THREE}}
        app_config_files: [apps.d/*.yaml, more.yaml]
        """
    files: dict[str, str | bytes] = {
        "secrets/two": "two\n",
        "apps.d/four.yaml": f"- appid: {D}\n  secret_file: four\n",
        "apps.d/four": b"\xef\xbb\xbf four \r\n",
        "more.yaml": "[]",
    }
    environ = {"THREE": " three "}
    found = config(main, files, environ)
    assert found.fetch == Fetch(5400.0, 90.0, 0.0, 2.5, 16, 104)
    assert found.api == Api("http://127.0.0.1:4321")
    assert found.api.host == "127.0.0.1:4321"
    assert [(app.appid, app.name, secret_of(app).read()) for app in found.apps] == [
        (A, "Shop: 商店", "one"),
        (B, "", "two"),
        (C, "", "three"),
        (D, "", "four"),
    ]
    assert [type(secret_of(app)) for app in found.apps] == [LiteralSecret, FileSecret, EnvSecret, FileSecret]
    assert not found.warnings
    assert not found.broken_files


def test_missing_options_have_their_defaults() -> None:
    assert config(f"apps: [{{appid: {A}, secret: x}}]\n") == Config(
        apps=(App(A, Datacube(AppSecret(LiteralSecret("x")))),)
    )


def test_empty_sections_have_their_defaults() -> None:
    main = "fetch:\n  # interval: 6h\napi: ~\napp_config_files: null\n"
    main += f"apps:\n- {{appid: {A}, secret: x, name: }}\n"
    assert config(main) == Config(apps=(App(A, Datacube(AppSecret(LiteralSecret("x")))),))


def test_scalars_are_kept_as_text() -> None:
    main = f"apps:\n- {{appid: {A}, secret: 0123, name: 1:30}}\n"
    main += f"- {{appid: {B}, secret: 'null', name: 2026-11-23}}\n"
    assert [(secret_of(app).read(), app.name) for app in config(main).apps] == [
        ("0123", "1:30"),
        ("null", "2026-11-23"),
    ]


def test_byte_order_mark_and_carriage_returns_are_ignored() -> None:
    assert appids(config(f"\ufeffapps:\r\n- appid: {A}\r\n  secret: x\r\n")) == [A]


def test_anchors_and_aliases_work() -> None:
    main = f"""\
        apps:
        - &first {{appid: {A}, name: &name Shop, secret: &secret same}}
        - {{appid: {B}, name: *name, secret: *secret}}
        - appid: {C}
          secret: *secret
        """
    assert [(app.name, secret_of(app).read()) for app in config(main).apps] == [
        ("Shop", "same"),
        ("Shop", "same"),
        ("", "same"),
    ]


def test_each_app_file_is_read_once_and_never_the_main_file() -> None:
    files: dict[str, str | bytes] = {
        "b.yaml": f"- {{appid: {B}, secret: x}}",
        "a/z.yaml": f"- {{appid: {A}, secret: x}}",
        "c/d.yaml/not-this": "a folder is no app file",
        ".hidden.yaml": "{",
    }
    pattern = Path.cwd() / "a" / "[z].yaml"
    main = (
        "app_config_files: ['*.yaml', b.yaml, './a/../b.yaml', '**/*.yaml', "
        f"'{pattern}', a/z.yaml]\napps: [{{appid: {C}, secret: x}}]\n"
    )
    files.pop("c/d.yaml/not-this")
    (Path.cwd() / "c" / "d.yaml").mkdir(parents=True)
    assert sorted(appids(config(main, files))) == sorted([C, A, B])


def test_main_file_is_first_then_app_files_by_name() -> None:
    files: dict[str, str | bytes] = {
        f"{name}.yaml": f"- {{appid: {appid}, secret: x}}" for name, appid in (("z", A), ("y", B), ("x", C))
    }
    main = f"app_config_files: [z.yaml, x.yaml, y.yaml]\napps: [{{appid: {D}, secret: x}}]\n"
    assert appids(config(main, files)) == [D, C, B, A]


def test_invalid_app_file_affects_only_its_own_apps() -> None:
    files: dict[str, str | bytes] = {
        "apps.d/bad.yaml": f"- {{appid: {A}, secret: x}}\n- {{appid: {B}}}\n",
        "apps.d/good.yaml": f"- {{appid: {C}, secret: x}}\n",
    }
    found = config(f"app_config_files: [apps.d/*]\napps: [{{appid: {D}, secret: x}}]\n", files)
    message = f"no credentials: set one of {', '.join(ACCESS_METHODS)}"
    assert appids(found) == [D, C]
    assert found.broken_files == (BrokenFile("apps.d/bad.yaml", (Problem("apps.d/bad.yaml", 2, "[1]", message),)),)


def test_duplicate_appid_invalidates_the_later_file() -> None:
    files: dict[str, str | bytes] = {
        "apps.d/b.yaml": f"- {{appid: {B}, secret: x}}\n- {{appid: {A}, secret: x}}\n",
        "apps.d/a.yaml": f"- {{appid: {A}, secret: x}}\n",
    }
    found = config("app_config_files: [apps.d/b.yaml, apps.d/a.yaml]\n", files)
    assert appids(found) == [A]
    assert [str(problem) for file in found.broken_files for problem in file.problems] == [
        f"apps.d/b.yaml:2: [1].appid: {A} is already configured in apps.d/a.yaml:1"
    ]


def test_configuration_may_consist_of_invalid_app_files() -> None:
    found = config("app_config_files: [a.yaml]\n", {"a.yaml": "{"})
    assert not found.apps
    assert [broken.file for broken in found.broken_files] == ["a.yaml"]


def test_dangling_link_affects_only_itself() -> None:
    Path("gone.yaml").symlink_to("nowhere")
    found = config(f"app_config_files: [gone.yaml]\napps: [{{appid: {A}, secret: x}}]\n")
    assert [str(problem) for problem in found.broken_files[0].problems] == ["gone.yaml: the file does not exist"]


WARNINGS = (
    (
        "history_weeks: 4",
        "config.yaml:1: fetch.history_weeks: is below 5: the typical_week figures will be missing",
    ),
    ("history_weeks: 5", None),
)


@pytest.mark.parametrize(("option", "warning"), WARNINGS)
def test_too_few_weeks_for_the_median_are_a_warning(option: str, warning: str | None) -> None:
    found = config(f"fetch: {{{option}}}\napps: [{{appid: {A}, secret: x}}]\n")
    assert [str(each) for each in found.warnings] == ([warning] if warning else [])


@pytest.mark.parametrize("appid", ["wx0123456789ABCDEF", "wx0123456789abcde", "gh_0123456789ab", "商店"])
def test_unusual_appid_is_a_warning(appid: str) -> None:
    found = config(f"apps:\n- {{appid: {appid}, secret: x}}\n")
    message = "config.yaml:2: apps[0].appid: does not have the usual form: wx and 16 hexadecimal digits"
    assert appids(found) == [appid]
    assert [str(each) for each in found.warnings] == [message]


def test_a_pattern_that_matches_nothing_is_a_warning() -> None:
    found = config(f"app_config_files:\n- apps.d/*.yaml\napps: [{{appid: {A}, secret: x}}]\n")
    message = "matches no file (relative patterns start at this file's directory)"
    assert found.warnings == (Problem("config.yaml", 2, "app_config_files[0]", message),)


def test_a_secret_that_others_can_read_is_a_warning() -> None:
    main = f"apps:\n- {{appid: {A}, secret: x}}\n- {{appid: {B}, secret: x}}\n"
    main += f"- {{appid: {C}, secret_file: shop}}\n"
    write({"config.yaml": main, "shop": "x"}, Path.cwd())
    for name in ("config.yaml", "shop"):
        Path(name).chmod(0o644)
    assert [str(each) for each in load(Path("config.yaml"), {}).warnings] == [
        "config.yaml:2: apps[0].secret: this file is readable by every user of this machine; run chmod o-r on it",
        "config.yaml:4: apps[2].secret_file: the file is readable by every user of this machine; run chmod o-r on it",
    ]
    for name in ("config.yaml", "shop"):
        Path(name).chmod(0o640)
    assert not load(Path("config.yaml"), {}).warnings


ADDRESSES = (
    ("https://api.weixin.qq.com", "https://api.weixin.qq.com"),
    ("HTTPS://API.weixin.qq.com:443/", "https://api.weixin.qq.com"),
    ("https://api2.weixin.qq.com:8443", "https://api2.weixin.qq.com:8443"),
    ("https://10.0.0.1", "https://10.0.0.1"),
    ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443"),
    ("http://127.0.0.1:4321", "http://127.0.0.1:4321"),
    ("http://127.8.9.10", "http://127.8.9.10"),
    ("http://localhost:80", "http://localhost"),
    ("http://[::1]:4321", "http://[::1]:4321"),
)


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_base_url_is_normalized(text: str, address: str) -> None:
    assert parse_base_url(text) == address
    assert f"{address.split(':', maxsplit=1)[0]}://{Api(address).host}" == address


LIMITS = (
    ("interval: 4w", Fetch(interval=2_419_200.0)),
    ("interval: 1s, retry_interval: 1s", Fetch(interval=1.0, retry_interval=1.0)),
    ("retry_interval: 6h", Fetch(retry_interval=21_600.0)),
    ("ready_after: 6d23h59m59s", Fetch(ready_after=604_799.0)),
    ("timeout: 100ms", Fetch(timeout=0.1)),
    ("timeout: 5m", Fetch(timeout=300.0)),
    ("concurrency: 1, history_weeks: 520", Fetch(concurrency=1, history_weeks=520)),
    ("concurrency: 256, history_weeks: 2", Fetch(concurrency=256, history_weeks=2)),
)


@pytest.mark.parametrize(("options", "fetch"), LIMITS)
def test_limits_are_inclusive(options: str, fetch: Fetch) -> None:
    assert config(f"fetch: {{{options}}}\napps: [{{appid: {A}, secret: x}}]\n").fetch == fetch


def test_app_uses_its_own_alert_ratios_else_the_defaults(tmp_path: Path) -> None:
    depth = "alerts: {weekly: {visit_depth_min_ratio: 1}}"
    (tmp_path / "more.yaml").write_text(f"- {{appid: {C}, secret: x, {depth}}}\n")
    own = "alerts: {weekly: {visitors_min_ratio: .25}, daily: {visits_min_ratio: .5}}"
    (tmp_path / "config.yaml").write_text(
        "app_config_files: [more.yaml]\n"
        f"apps: [{{appid: {A}, secret: x}}, {{appid: {B}, secret: x, {own}}}]\n"
        "defaults: {alerts: {weekly: {visitors_min_ratio: 0.5, sessions_min_ratio: 0}}}\n"
    )
    ours = Thresholds().with_ratios({("weekly", "visitors_min_ratio"): 0.5, ("weekly", "sessions_min_ratio"): 0.0})
    found = load(tmp_path / "config.yaml", {})
    assert found.defaults == Defaults(ours)
    assert [app.alerts for app in found.apps] == [
        ours,
        ours.with_ratios({("weekly", "visitors_min_ratio"): 0.25, ("daily", "visits_min_ratio"): 0.5}),
        ours.with_ratios({("weekly", "visit_depth_min_ratio"): 1.0}),
    ]
    assert [found.apps[1].alerts.of(WEEKLY, threshold) for threshold in WEEKLY.alert_thresholds] == [
        0.25,
        0.7,
        0.0,
        0.7,
        0.7,
        0.7,
    ]
    assert [found.apps[1].alerts.of(DAILY, threshold) for threshold in DAILY.alert_thresholds] == [
        0.65,
        0.65,
        0.65,
        0.5,
    ]


def test_app_fetches_its_own_reports_else_the_default_ones() -> None:
    found = config(
        f"reports: [monthly, weekly]\napps: [{{appid: {A}, secret: x}}, {{appid: {B}, secret: x, reports: [daily]}}]\n"
    )
    assert found.reports == (WEEKLY, MONTHLY)
    assert [app.reports for app in found.apps] == [(WEEKLY, MONTHLY), (DAILY,)]
    assert config(f"apps: [{{appid: {A}, secret: x}}]\n").apps[0].reports == (WEEKLY,)


SERVER = """{{url: 'HTTPS://Tokens.Example.org:443/t?app={{appid}}&x=1', method: POST, json_field: data.token,
  expires_in: data.left, headers: {{X-Plain: one, X-File: {{file: key}}, X-Env: {{env: KEY}}}}}}"""
WRITTEN_ACCESS = (
    ("token_file: token", Datacube(TokenFile(FileSecret(Path("token"))))),
    ("token_url: {url: 'http://127.0.0.1:1/t'}", Datacube(TokenUrl("http://127.0.0.1:1/t"))),
    (
        "token_url: {url: 'https://t.example', plain_text: true}",
        Datacube(TokenUrl("https://t.example/", plain_text=True)),
    ),
    (
        "authorizer: {component_appid: wxc, component_token_file: token, refresh_token_file: key}",
        Datacube(Authorizer("wxc", TokenFile(FileSecret(Path("token"))), FileSecret(Path("key")))),
    ),
    (
        "authorizer: {component_appid: wxc, component_token_url: {url: 'https://t.example'}, refresh_token_file: key}",
        Datacube(Authorizer("wxc", TokenUrl("https://t.example/"), FileSecret(Path("key")))),
    ),
    (
        "token_file: token\n  cloud_function: {env: prod-1, name: weekly}",
        CloudFunction(TokenFile(FileSecret(Path("token"))), "prod-1", "weekly"),
    ),
    ("http_function: {url: 'https://e.example/{appid}'}", HttpFunction("https://e.example/{appid}")),
    ("cloud_hosting: {}", CloudHosting()),
    ("cloud_hosting:", CloudHosting()),
    ("cloud_hosting: {from_appid: wxother}", CloudHosting("wxother")),
    ("cloud_hosting: {cloudbase_token_file: token}", CloudHosting(cloudbase_token=FileSecret(Path("token")))),
)


@pytest.mark.parametrize(("option", "access"), WRITTEN_ACCESS, ids=[option for option, _ in WRITTEN_ACCESS])
def test_access_method_is_parsed(option: str, access: AccessConfig) -> None:
    found = config(f"apps:\n- appid: {A}\n  {option}\n", {"token": "T", "key": "K"})
    assert found.apps[0].access == access
    assert found.warnings == ()


def test_token_url_is_normalized_and_its_headers_are_read() -> None:
    """Header values may be literal, from a file or from a variable."""
    files: dict[str, str | bytes] = {"key": "of-the-file\n"}
    main = f"apps:\n- appid: {A}\n  token_url: {SERVER.format()}\n"
    (app,) = config(main, files, {"KEY": "of-the-variable"}).apps
    assert isinstance(app.access, Datacube)
    server = app.access.tokens
    assert isinstance(server, TokenUrl)
    assert server.url == "https://tokens.example.org/t?app={appid}&x=1"
    assert (server.method, server.json_field, server.expires_in) == ("POST", "data.token", "data.left")
    values = {name: secret.read() for name, secret in server.headers}
    assert values == {"X-Plain": "one", "X-File": "of-the-file", "X-Env": "of-the-variable"}
    assert "of-the" not in repr(app)


def test_missing_token_file_is_a_warning() -> None:
    """A changed token file leaves the configuration equal."""
    main = (
        f"apps:\n- {{appid: {A}, token_file: token}}\n- {{appid: {B}, cloud_hosting: {{cloudbase_token_file: none}}}}\n"
    )
    one = config(main, {"token": "T1"})
    assert [str(warning) for warning in one.warnings] == [
        (
            "config.yaml:3: apps[1].cloud_hosting.cloudbase_token_file: no such file"
            " (relative paths start at this file's directory)"
        )
    ]
    assert config(main, {"token": "T2"}).apps == one.apps


def test_ten_thousand_apps_load_in_seconds() -> None:
    apps = "".join(f"- appid: wx{n:016x}\n  name: Shop {n}\n  secret_env: SHOP\n" for n in range(10_000))
    start = time.process_time()
    found = config(f"apps:\n{apps}", environ={"SHOP": "x"})
    assert time.process_time() - start < 10
    assert len(found.apps) == 10_000
    assert len(set(found.apps)) == 10_000


def test_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SHOP", "theirs")
    found = config(f"apps: [{{appid: {A}, secret_env: SHOP}}]\n", environ={"SHOP": "ours"})
    assert secret_of(found.apps[0]).read() == "ours"

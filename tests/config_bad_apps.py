"""Configurations with wrong apps, secrets and app files, with their exact messages."""

from __future__ import annotations

from config_bad_row import MARKER, bad
from config_bad_values import NO_DURATION

BAD_APPS = (
    # apps.
    bad(
        "no apps",
        "fetch: {timeout: 5s}\n",
        "config.yaml: apps: there are no apps; list them here or in files named by app_config_files",
    ),
    bad(
        "an empty list of apps",
        "apps: []\n",
        "config.yaml: apps: there are no apps; list them here or in files named by app_config_files",
    ),
    bad(
        "only empty app files",
        "app_config_files: [apps.d/*.yaml]\n",
        "config.yaml: apps: there are no apps; list them here or in files named by app_config_files",
        files={"apps.d/a.yaml": "[]\n"},
    ),
    bad("no appid", "apps:\n- name: {M}\n  secret: {M}\n", "config.yaml:2: apps[0].appid: is missing"),
    bad("empty appid", "apps:\n- appid:\n  secret: {M}\n", "config.yaml:2: apps[0].appid: is empty"),
    bad(
        "white space in appid",
        "apps:\n- {appid: 'wx {M}', secret: x}\n- {appid: \"\\u2028\", secret: x}\n",
        "config.yaml:2: apps[0].appid: must not hold white space or characters that cannot be shown",
        "config.yaml:3: apps[1].appid: must not hold white space or characters that cannot be shown",
    ),
    bad(
        "name of two lines",
        'apps:\n- {appid: wx0123456789abcdef, secret: x, name: "a\\n{M}"}\n',
        "config.yaml:2: apps[0].name: holds characters that cannot be shown; keep it on one line",
    ),
    bad(
        "appid twice in the main file",
        "apps:\n- {appid: wx0123456789abcdef, secret: x}\n- {appid: wx0123456789abcdef, secret: '{M}'}\n",
        "config.yaml:3: apps[1].appid: wx0123456789abcdef is already configured in config.yaml:2",
    ),
    bad(
        "unusual appid twice",
        "apps:\n- {appid: '{M}', secret: x}\n- {appid: '{M}', secret: x}\n",
        "config.yaml:3: apps[1].appid: this appid is already configured in config.yaml:2",
    ),
    # Secrets.
    bad(
        "no secret",
        "apps:\n- name: {M}\n  appid: wx0123456789abcdef\n",
        "config.yaml:2: apps[0]: no secret; give one of secret, secret_file, secret_env",
    ),
    bad(
        "two secrets",
        "apps:\n- appid: wx0123456789abcdef\n  secret: {M}\n  secret_file: {M}\n",
        "config.yaml:4: apps[0].secret_file: secret and secret_file are given; keep one",
    ),
    bad(
        "three secrets",
        "apps:\n- appid: wx0123456789abcdef\n  secret_env: {M}\n  secret_file: {M}\n  secret: {M}\n",
        "config.yaml:4: apps[0].secret_file: secret and secret_file and secret_env are given; keep one",
    ),
    bad(
        "empty secret",
        "apps:\n- {appid: wx0123456789abcdef, secret: ' '}\n- {appid: wx1123456789abcdef, secret: null}\n",
        "config.yaml:2: apps[0].secret: the secret is empty",
        "config.yaml:3: apps[1].secret: the secret is empty",
    ),
    bad(
        "secret of two lines",
        "apps:\n- appid: wx0123456789abcdef\n  secret: |\n    {M}\n    {M}\n",
        "config.yaml:3: apps[0].secret: the secret holds more than one line",
    ),
    bad(
        "secret file missing",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: '{M}'}\n- {appid: wx1123456789abcdef, secret_file: }\n",
        "config.yaml:2: apps[0].secret_file: the secret file does not exist",
        "config.yaml:3: apps[1].secret_file: is empty",
    ),
    bad(
        "secret file is a folder",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: .}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is a folder",
    ),
    bad(
        "secret file is a device",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: /dev/zero}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is a pipe or a device, not a file",
    ),
    bad(
        "secret file with an impossible name",
        'apps:\n- {appid: wx0123456789abcdef, secret_file: "{M}\\0"}\n',
        "config.yaml:2: apps[0].secret_file: holds characters that cannot be shown",
    ),
    bad(
        "secret file with a name too long",
        f"apps:\n- {{appid: wx0123456789abcdef, secret_file: {MARKER * 1000}}}\n",
        "config.yaml:2: apps[0].secret_file: the secret file cannot be read: file name too long",
    ),
    bad(
        "secret file below a file",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: config.yaml/{M}}\n",
        "config.yaml:2: apps[0].secret_file: the secret file does not exist",
    ),
    bad(
        "secret file empty",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: shop}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is empty",
        files={"shop": " \n"},
    ),
    bad(
        "secret file not UTF-8",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: shop}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is not UTF-8 text",
        files={"shop": b"S3CR3T-7f3a9\xff"},
    ),
    bad(
        "secret file too large",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: shop}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is larger than 64 KiB",
        files={"shop": "x" * 65_537},
    ),
    bad(
        "variable not set",
        "apps:\n- {appid: wx0123456789abcdef, secret_env: '{M}'}\n- {appid: wx1123456789abcdef, secret_env: ''}\n",
        "config.yaml:2: apps[0].secret_env: the secret variable is not set",
        "config.yaml:3: apps[1].secret_env: is empty",
    ),
    bad(
        "variable empty",
        "apps:\n- {appid: wx0123456789abcdef, secret_env: SHOP}\n",
        "config.yaml:2: apps[0].secret_env: the secret variable is empty",
        environ={"SHOP": "\n"},
    ),
    bad(
        "variable not UTF-8",
        "apps:\n- {appid: wx0123456789abcdef, secret_env: SHOP}\n",
        "config.yaml:2: apps[0].secret_env: the secret variable is not UTF-8 text",
        environ={"SHOP": "\udcff" + MARKER},
    ),
    # App files.
    bad(
        "app file missing",
        "app_config_files: [apps.d/{M}.yaml]\n",
        (
            "config.yaml:1: app_config_files[0]: no such file, or its folder is closed "
            "(relative names begin in this file's folder)"
        ),
    ),
    bad(
        "app file is a folder",
        "app_config_files: [apps.d]\n",
        "config.yaml:1: app_config_files[0]: names a folder; write a pattern such as apps.d/*.yaml",
        files={"apps.d/a.yaml": "[]\n"},
    ),
    bad(
        "app file with a name too long",
        f"app_config_files: [{MARKER * 1000}]\n",
        "config.yaml:1: app_config_files[0]: no such file, or its folder is closed "
        "(relative names begin in this file's folder)",
    ),
    bad(
        "pattern that cannot be shown",
        'app_config_files: ["{M}\\0*"]\n',
        "config.yaml:1: app_config_files[0]: holds characters that cannot be shown",
    ),
    bad(
        "pattern matches nothing",
        "app_config_files: ['{M}/*.yaml']\n",
        ("config.yaml:1: app_config_files[0]: matches no file (relative patterns begin in this file's folder)"),
    ),
    bad(
        "everything in one run",
        "api: {base_url: 'http://{M}'}\nfetch: {timeout: {M}}\napp_config_files: [apps.d/*.yaml]\n"
        "apps:\n- {appid: wx0123456789abcdef, secret_env: '{M}'}\n- {appid: wx1123456789abcdef, secret: x}\n",
        "config.yaml:1: api.base_url: must begin with https://; http:// is for loopback only",
        f"config.yaml:2: fetch.timeout: {NO_DURATION}",
        "config.yaml:5: apps[0].secret_env: the secret variable is not set",
        "apps.d/a.yaml:1: must be a list of apps (- appid: ...), not a mapping",
        "apps.d/b.yaml:1: [0].appid: wx1123456789abcdef is already configured in config.yaml:6",
        "apps.d/b.yaml:3: [1]: no secret; give one of secret, secret_file, secret_env",
        "apps.d/c.yaml:2: not valid YAML: a bracket that is never closed, or a comma that is missing",
        "apps.d/d.yaml:1: [0].appid: wx2123456789abcdef is already configured in apps.d/b.yaml:3",
        "apps.d/e.yaml:1: the file is not UTF-8 text",
        "apps.d/f.yaml: the file is empty",
        files={
            "apps.d/b.yaml": "- appid: wx1123456789abcdef\n  secret: x\n- appid: wx2123456789abcdef\n",
            "apps.d/a.yaml": "apps:\n- {M}\n",
            "apps.d/c.yaml": "- {appid: wx2123456789abcdef, secret: '{M}'}\n- secret: [{M}\n",
            "apps.d/d.yaml": "- {appid: wx2123456789abcdef, secret: '{M}'}\n",
            "apps.d/e.yaml": b"\xff",
            "apps.d/f.yaml": "",
        },
    ),
)

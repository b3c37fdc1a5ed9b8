"""Configurations with wrong apps, secrets and app files, with their exact messages."""

from __future__ import annotations

from config_bad_row import MARKER, bad
from config_bad_values import NO_DURATION

NO_WAY = (
    "no credentials: set one of secret, secret_file, secret_env, token_file, token_url, authorizer, "
    "http_function, cloud_hosting"
)


BASE = "(relative paths start at this file's directory)"
NO_FILE = f"no such file {BASE}"
NO_HTTP = "must start with https://; http:// is allowed for loopback only"
NO_FIELD = "must be a field name, with dots for nested objects, such as data.access_token"

BAD_APPS = (
    # apps.
    bad(
        "no apps",
        "fetch: {timeout: 5s}\n",
        "config.yaml: apps: no apps configured; list them here or in the files of app_config_files",
    ),
    bad(
        "an empty list of apps",
        "apps: []\n",
        "config.yaml: apps: no apps configured; list them here or in the files of app_config_files",
    ),
    bad(
        "only empty app files",
        "app_config_files: [apps.d/*.yaml]\n",
        "config.yaml: apps: no apps configured; list them here or in the files of app_config_files",
        files={"apps.d/a.yaml": "[]\n"},
    ),
    bad("no appid", "apps:\n- name: {M}\n  secret: {M}\n", "config.yaml:2: apps[0].appid: is missing"),
    bad("empty appid", "apps:\n- appid:\n  secret: {M}\n", "config.yaml:2: apps[0].appid: is empty"),
    bad(
        "white space in appid",
        "apps:\n- {appid: 'wx {M}', secret: x}\n- {appid: \"\\u2028\", secret: x}\n",
        "config.yaml:2: apps[0].appid: must not contain white space or non-printable characters",
        "config.yaml:3: apps[1].appid: must not contain white space or non-printable characters",
    ),
    bad(
        "name of two lines",
        'apps:\n- {appid: wx0123456789abcdef, secret: x, name: "a\\n{M}"}\n',
        "config.yaml:2: apps[0].name: contains non-printable characters; use a single line",
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
    bad(
        "a misspelt option is one problem, not two",
        "apps:\n- appid: wx0123456789abcdef\n  secretfile: {M}\n- apid: {M}\n  secret: x\n",
        "config.yaml:3: apps[0].secretfile: unknown option; did you mean secret_file?",
        "config.yaml:4: apps[1].apid: unknown option; did you mean appid?",
    ),
    bad(
        "a misspelt option of an access method",
        "apps:\n- appid: wx0123456789abcdef\n  token_url: {ulr: x}\n- appid: wx0123456789abcde0\n"
        "  authorizer: {component_appid: x, refresh_token_file: rt, componenttoken_file: t}\n",
        "config.yaml:3: apps[0].token_url.ulr: unknown option; did you mean url?",
        "config.yaml:5: apps[1].authorizer.componenttoken_file: unknown option; did you mean component_token_file?",
        files={"rt": "{M}"},
    ),
    bad(
        "a misspelt list of apps",
        "app:\n- {appid: wx0123456789abcdef, secret: '{M}'}\n",
        "config.yaml:1: app: unknown option; did you mean apps?",
    ),
    # Secrets.
    bad(
        "no secret",
        "apps:\n- name: {M}\n  appid: wx0123456789abcdef\n",
        f"config.yaml:2: apps[0]: {NO_WAY}",
    ),
    bad(
        "two secrets",
        "apps:\n- appid: wx0123456789abcdef\n  secret: {M}\n  secret_file: {M}\n",
        "config.yaml:4: apps[0].secret_file: set only one of secret, secret_file",
    ),
    bad(
        "three secrets",
        "apps:\n- appid: wx0123456789abcdef\n  secret_env: {M}\n  secret_file: {M}\n  secret: {M}\n",
        "config.yaml:4: apps[0].secret_file: set only one of secret, secret_file, secret_env",
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
        "config.yaml:3: apps[0].secret: the secret has more than one line",
    ),
    bad(
        "secret file missing",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: '{M}'}\n- {appid: wx1123456789abcdef, secret_file: }\n",
        f"config.yaml:2: apps[0].secret_file: {NO_FILE}",
        "config.yaml:3: apps[1].secret_file: is empty",
    ),
    bad(
        "secret file is a folder",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: .}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is a directory",
    ),
    bad(
        "secret file is a device",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: /dev/zero}\n",
        "config.yaml:2: apps[0].secret_file: the secret file is not a regular file but a pipe or a device",
    ),
    bad(
        "secret file with an impossible name",
        'apps:\n- {appid: wx0123456789abcdef, secret_file: "{M}\\0"}\n',
        "config.yaml:2: apps[0].secret_file: contains non-printable characters",
    ),
    bad(
        "secret file with a name too long",
        f"apps:\n- {{appid: wx0123456789abcdef, secret_file: {MARKER * 1000}}}\n",
        "config.yaml:2: apps[0].secret_file: the secret file cannot be read: file name too long",
    ),
    bad(
        "secret file below a file",
        "apps:\n- {appid: wx0123456789abcdef, secret_file: config.yaml/shop}\n",
        f"config.yaml:2: apps[0].secret_file: no such file config.yaml/shop {BASE}",
    ),
    bad(
        "a path that is a secret, or holds one",
        "apps:\n"
        + "".join(
            f"- {{appid: wx{n}123456789abcdef, secret_file: {path}}}\n"
            for n, path in enumerate(("0123456789abcdef" * 2, "/a/0123456789abcdef", "https://{M}/", "/{M} x"))
        ),
        f"config.yaml:2: apps[0].secret_file: {NO_FILE}",
        "config.yaml:3: apps[1].secret_file: no such file",
        f"config.yaml:4: apps[2].secret_file: {NO_FILE}",
        "config.yaml:5: apps[3].secret_file: no such file",
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
        "config.yaml:2: apps[0].secret_env: the environment variable is not set",
        "config.yaml:3: apps[1].secret_env: is empty",
    ),
    bad(
        "variable empty",
        "apps:\n- {appid: wx0123456789abcdef, secret_env: SHOP}\n",
        "config.yaml:2: apps[0].secret_env: the environment variable is empty",
        environ={"SHOP": "\n"},
    ),
    bad(
        "variable not UTF-8",
        "apps:\n- {appid: wx0123456789abcdef, secret_env: SHOP}\n",
        "config.yaml:2: apps[0].secret_env: the environment variable is not UTF-8 text",
        environ={"SHOP": "\udcff" + MARKER},
    ),
    # App files.
    bad(
        "app file missing",
        "app_config_files: [apps.d/shop.yaml]\n",
        f"config.yaml:1: app_config_files[0]: no such file apps.d/shop.yaml {BASE}",
    ),
    bad(
        "app file is a folder",
        "app_config_files: [apps.d]\n",
        "config.yaml:1: app_config_files[0]: is a directory; use a pattern such as apps.d/*.yaml",
        files={"apps.d/a.yaml": "[]\n"},
    ),
    bad(
        "app file with a name too long",
        f"app_config_files: [{MARKER * 1000}]\n",
        f"config.yaml:1: app_config_files[0]: {NO_FILE}",
    ),
    bad(
        "pattern that cannot be shown",
        'app_config_files: ["{M}\\0*"]\n',
        "config.yaml:1: app_config_files[0]: contains non-printable characters",
    ),
    bad(
        "pattern matches nothing",
        "app_config_files: ['{M}/*.yaml']\n",
        "config.yaml:1: app_config_files[0]: matches no file (relative patterns start at this file's directory)",
    ),
    bad(
        "everything in one run",
        "api: {base_url: 'http://{M}'}\nfetch: {timeout: {M}}\napp_config_files: [apps.d/*.yaml]\n"
        "apps:\n- {appid: wx0123456789abcdef, secret_env: '{M}'}\n- {appid: wx1123456789abcdef, secret: x}\n",
        "config.yaml:1: api.base_url: must start with https://; http:// is allowed for loopback only",
        f"config.yaml:2: fetch.timeout: {NO_DURATION}",
        "config.yaml:5: apps[0].secret_env: the environment variable is not set",
        "apps.d/a.yaml:1: must be a list of apps (- appid: ...), not a mapping",
        "apps.d/b.yaml:1: [0].appid: wx1123456789abcdef is already configured in config.yaml:6",
        f"apps.d/b.yaml:3: [1]: {NO_WAY}",
        "apps.d/c.yaml:2: invalid YAML: unclosed bracket or missing comma",
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
    # Access methods.
    bad(
        "two access methods",
        "apps:\n- appid: wx0123456789abcdef\n  token_file: {M}\n  cloud_hosting: {}\n",
        "config.yaml:4: apps[0].cloud_hosting: set only one of token_file, cloud_hosting",
    ),
    bad(
        "a cloud function that has no token",
        "apps:\n- appid: wx0123456789abcdef\n  cloud_hosting: {}\n  cloud_function: {env: e, name: f}\n",
        "config.yaml:4: apps[0].cloud_function: requires a token, but cloud_hosting has none; keep one of the two",
    ),
    bad(
        "a cloud function alone",
        "apps:\n- {appid: wx0123456789abcdef, cloud_function: {env: e, name: f}}\n",
        f"config.yaml:2: apps[0]: {NO_WAY}",
    ),
    bad(
        "half a cloud function",
        "apps:\n- appid: wx0123456789abcdef\n  secret: '{M}'\n  cloud_function:\n    name: a b\n    nmae: x\n",
        "config.yaml:4: apps[0].cloud_function.env: is missing",
        "config.yaml:5: apps[0].cloud_function.name: must not contain white space or non-printable characters",
        "config.yaml:6: apps[0].cloud_function.nmae: unknown option; did you mean name?",
    ),
    bad(
        "a token server that is none",
        "apps:\n- appid: wx0123456789abcdef\n  token_url:\n    method: PATCH\n    json_field: a..b\n"
        "    expires_in: ''\n    plain_text: yes\n",
        "config.yaml:3: apps[0].token_url.url: is missing",
        "config.yaml:4: apps[0].token_url.method: must be GET or POST",
        f"config.yaml:5: apps[0].token_url.json_field: {NO_FIELD}",
        f"config.yaml:6: apps[0].token_url.expires_in: {NO_FIELD}",
        "config.yaml:7: apps[0].token_url.plain_text: must be true or false",
    ),
    bad(
        "a field of a plain text",
        "apps:\n- appid: wx0123456789abcdef\n  token_url:\n    url: https://t.example\n    json_field: a\n"
        "    plain_text: true\n",
        "config.yaml:5: apps[0].token_url.json_field: has no effect with plain_text; remove one of the two",
    ),
    *(
        bad(
            f"a token server at {name}",
            f"apps:\n- appid: wx0123456789abcdef\n  token_url: {{url: '{url}'}}\n",
            f"config.yaml:3: apps[0].token_url.url: {message}",
        )
        for name, url, message in (
            ("a foreign host in the clear", "http://{M}/t", NO_HTTP),
            ("another protocol", "ftp://{M}/t", "must start with https://"),
            ("a host with a password", "https://u:{M}@t.example/", "must not contain a user name or password"),
            ("a fragment", "https://t.example/#{M}", "must not have a fragment (#)"),
            ("other braces", "https://t.example/{{app}}", "contains braces; the only placeholder is {appid}"),
            ("no host", "https:///{M}", "has no valid host; use a URL such as https://api.weixin.qq.com"),
            ("nothing", "", "is empty"),
        )
    ),
    bad(
        "odd headers",
        "apps:\n- appid: wx0123456789abcdef\n  http_function:\n    url: https://e.example\n    headers:\n"
        "      X-One: {file: none}\n      x-one: '{M}'\n      X Two: '{M}'\n      Host: '{M}'\n      X-Three:\n"
        "      X-Four: {file: a, env: b}\n      X-Five: ['{M}']\n",
        f"config.yaml:6: apps[0].http_function.headers.file: {NO_FILE}",
        "config.yaml:8: apps[0].http_function.headers: invalid header name, or a header that the exporter sets itself",
        "config.yaml:9: apps[0].http_function.headers: invalid header name, or a header that the exporter sets itself",
        "config.yaml:10: apps[0].http_function.headers: a header value is empty or has more than one line",
        "config.yaml:11: apps[0].http_function.headers: a header value must be a string, {file: ...} or {env: ...}",
        "config.yaml:12: apps[0].http_function.headers: each key must be a string, each value a string or a mapping",
    ),
    bad(
        "a header twice, and headers that are no mapping",
        "apps:\n- appid: wx0123456789abcdef\n  token_url: {url: 'https://t.example', headers: {X-A: a, x-a: '{M}'}}\n"
        "- appid: wx1123456789abcdef\n  token_url: {url: 'https://t.example', headers: ['{M}']}\n",
        "config.yaml:3: apps[0].token_url.headers: duplicate header",
        "config.yaml:5: apps[1].token_url.headers: must be a mapping, not a list",
    ),
    bad(
        "half a platform",
        "apps:\n- appid: wx0123456789abcdef\n  authorizer: {}\n"
        "- appid: wx1123456789abcdef\n  authorizer:\n    component_appid: wxc\n    component_token_file: {M}\n"
        "    component_token_url: {url: 'https://t.example'}\n    refresh_token_file: none\n",
        "config.yaml:3: apps[0].authorizer.component_appid: is missing",
        "config.yaml:3: apps[0].authorizer.refresh_token_file: is missing",
        "config.yaml:3: apps[0].authorizer: set one of component_token_file, component_token_url",
        "config.yaml:5: apps[1].authorizer: set only one of component_token_file, component_token_url",
        f"config.yaml:9: apps[1].authorizer.refresh_token_file: {NO_FILE}",
    ),
    bad(
        "a container with two names",
        "apps:\n- appid: wx0123456789abcdef\n  cloud_hosting: {from_appid: wxother, cloudbase_token_file: none}\n",
        "config.yaml:3: apps[0].cloud_hosting.from_appid: cloudbase_token_file already identifies the account; keep one"
        " of the two",
    ),
    bad(
        "one refresh token for two apps",
        "apps:\n"
        + "".join(
            f"- appid: wx{n}123456789abcdef\n"
            "  authorizer: {component_appid: c, component_token_file: t, refresh_token_file: r}\n"
            for n in (0, 1)
        ),
        "config.yaml:5: apps[1].authorizer: refresh_token_file is already used by the app in config.yaml:3",
        files={"t": "T", "r": "R"},
    ),
    bad(
        "access methods that are no mappings",
        "apps:\n- {appid: wx0123456789abcdef, token_url: 'https://{M}'}\n- {appid: wx1123456789abcdef, authorizer: x}\n"
        "- {appid: wx2123456789abcdef, http_function: []}\n"
        "- {appid: wx3123456789abcdef, secret: x, cloud_function: f}\n",
        "config.yaml:2: apps[0].token_url: must be a mapping, not text",
        "config.yaml:3: apps[1].authorizer: must be a mapping, not text",
        "config.yaml:4: apps[2].http_function: must be a mapping, not a list",
        "config.yaml:5: apps[3].cloud_function: must be a mapping, not text",
    ),
)

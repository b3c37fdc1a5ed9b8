"""Configurations that are invalid YAML, or YAML of the wrong structure, with their exact messages."""

from __future__ import annotations

from config_bad_row import APP, bad

BAD_DOCUMENTS = (
    # The file itself.
    bad("empty file", "", "config.yaml: the file is empty"),
    bad("only comments", "# secret: {M}\n", "config.yaml: the file is empty"),
    bad("nothing in the document", "---\n...\n", "config.yaml: the file is empty"),
    bad(
        "not UTF-8",
        b"apps:\n- secret: S3CR3T-7f3a9\n  name: caf\xe9\n",
        "config.yaml:3: the file is not UTF-8 text",
    ),
    bad("UTF-16", ("apps: [] # {M}\n").encode("utf-16"), "config.yaml:1: the file is not UTF-8 text"),
    bad(
        "control character",
        "fetch:\n  interval: '\x07{M}'\n",
        "config.yaml:2: control character, which YAML does not allow",
    ),
    bad(
        "several documents",
        APP + "---\n" + APP,
        "config.yaml:2: second YAML document (---); only one per file is supported",
    ),
    bad(
        "a list at the top",
        "- appid: {M}\n",
        "config.yaml:1: must be a mapping (reports, fetch, api, defaults, apps, app_config_files), not a list",
    ),
    bad(
        "text at the top",
        "{M}\n",
        "config.yaml:1: must be a mapping (reports, fetch, api, defaults, apps, app_config_files), not text",
    ),
    # YAML syntax.
    bad(
        "two values in one line",
        "apps:\n- secret: a: {M}\n",
        ("config.yaml:2: invalid YAML: unexpected ': '; quote text that contains ': ', or fix the indentation"),
    ),
    bad(
        "a bare line",
        "apps:\n- appid: wx0123456789abcdef\n  {M}\n  name: {M}\n",
        "config.yaml:3: invalid YAML: expected 'key: value' or '- item'",
    ),
    bad("tab", "fetch:\n\tinterval: {M}\n", "config.yaml:2: invalid YAML: tab character; indent with spaces"),
    bad(
        "text that begins with @",
        "apps:\n- secret: @{M}\n",
        "config.yaml:2: invalid YAML: text that starts with @, ` or % must be quoted",
    ),
    bad(
        "indentation",
        "fetch:\n  interval: 1h\n - {M}\n",
        "config.yaml:3: invalid YAML: the indentation does not match the lines above",
    ),
    bad(
        "quote never closed",
        "apps:\n- secret: '{M}\n  appid: x\n",
        "config.yaml:2: invalid YAML: unclosed quote",
    ),
    bad(
        "bracket never closed",
        "apps:\n- {secret: {M}\n",
        "config.yaml:2: invalid YAML: unclosed bracket or missing comma",
    ),
    bad(
        "unknown escape",
        'apps:\n- secret: "\\q{M}"\n',
        ("config.yaml:2: invalid YAML: unknown escape (\\) in double quotes; use single quotes or write \\\\"),
    ),
    bad(
        "half a character",
        'apps:\n- secret: "\\ud800{M}"\n',
        "config.yaml:2: escape of half a surrogate pair (\\ud800 to \\udfff)",
    ),
    bad(
        "no character at all",
        'apps:\n- secret: "\\UFFFFFFFF{M}"\n',
        "config.yaml:2: invalid YAML: number out of range in an escape (\\U) or a directive (%)",
    ),
    bad(
        "undefined tag handle",
        "apps:\n- secret: !a!{M} x\n",
        "config.yaml:2: invalid YAML: text that starts with ! must be quoted",
    ),
    bad(
        "tag on a value",
        "apps:\n- secret: !env {M}\n",
        "config.yaml:2: tags (!) are not supported; text that starts with ! must be quoted",
    ),
    bad(
        "tag on a list",
        "apps: !{M} []\n",
        "config.yaml:1: tags (!) are not supported; text that starts with ! must be quoted",
    ),
    bad(
        "Python tag",
        "apps: !!python/object/apply:os.system ['{M}']\n",
        "config.yaml:1: tags (!) are not supported; text that starts with ! must be quoted",
    ),
    bad(
        "alias without anchor",
        "apps:\n- secret: *{M}\n",
        "config.yaml:2: alias (*) without an anchor (&); text that starts with * must be quoted",
    ),
    bad("alias within itself", "apps: &{M}\n- *{M}\n", "config.yaml:2: alias (*) that contains itself"),
    bad(
        "alias bomb",
        "a: &a [{M},x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "config.yaml:6: more than 1,000,000 values, aliases included; split the file",
    ),
    bad("nested too deep", "apps: " + "[" * 100_000, "config.yaml:1: nested more than 20 levels deep"),
    bad(
        "nested too deep through aliases",
        "a: &a [[[[[[[[[[{M}]]]]]]]]]]\nb: [[[[[[[[[[[*a]]]]]]]]]]]\n",
        "config.yaml:2: nested more than 20 levels deep",
    ),
    # Keys.
    bad(
        "unknown section",
        "fetsch:\n  interval: {M}\n" + APP,
        "config.yaml:1: fetsch: unknown option; did you mean fetch?",
    ),
    bad(
        "unknown option",
        "fetch:\n  intervall: {M}\n" + APP,
        "config.yaml:2: fetch.intervall: unknown option; did you mean interval?",
    ),
    bad(
        "unknown option, nothing like it",
        "api:\n  zzz: {M}\n" + APP,
        "config.yaml:2: api.zzz: unknown option; valid options: base_url",
    ),
    bad(
        "unknown option of an app",
        "apps:\n- appid: wx0123456789abcdef\n  secret: x\n  app_secret: {M}\n",
        "config.yaml:4: apps[0].app_secret: unknown option; did you mean secret?",
    ),
    bad(
        "value in the place of a key",
        "apps:\n- {appid: wx0123456789abcdef, secret: x, {M}}\n",
        "config.yaml:2: apps[0]: unknown option; valid options: appid, name, secret, secret_file, secret_env,"
        " token_file, token_url, authorizer, http_function, cloud_hosting, cloud_function, alerts, reports",
    ),
    bad(
        "key in other letters",
        "Fetch: {interval: 1h}\nsecret-file: {M}\n" + APP,
        "config.yaml:1: unknown option; did you mean fetch?",
        "config.yaml:2: unknown option; valid options: reports, fetch, api, defaults, apps, app_config_files",
    ),
    bad(
        "very long key",
        "x" * 900 + ": {M}\n" + APP,
        "config.yaml:1: unknown option; valid options: reports, fetch, api, defaults, apps, app_config_files",
    ),
    bad("list as key", "? [{M}]\n: {M}\n" + APP, "config.yaml:1: a key must be a string, not a list"),
    bad(
        "merge key",
        "fetch: {<<: {timeout: {M}}}\n" + APP,
        "config.yaml:1: fetch: merge keys (<<) are not supported; write the options out",
    ),
    bad(
        "section twice",
        "fetch: {timeout: 5s}\napi: {}\nfetch: {timeout: {M}}\n" + APP,
        "config.yaml:3: fetch: duplicate option; first set in line 1",
    ),
    bad(
        "option of an app twice",
        "apps:\n- appid: wx0123456789abcdef\n  secret: x\n  secret: {M}\n",
        "config.yaml:4: apps[0].secret: duplicate option; first set in line 3",
    ),
    # Types.
    bad("section is text", "fetch: {M}\n" + APP, "config.yaml:1: fetch: must be a mapping, not text"),
    bad("section is a list", "api:\n- {M}\n" + APP, "config.yaml:1: api: must be a mapping, not a list"),
    bad(
        "value is a list",
        "fetch:\n  timeout: [{M}]\n" + APP,
        "config.yaml:2: fetch.timeout: must be a single value, not a list",
    ),
    bad(
        "value is a mapping",
        "api:\n  base_url: {{M}: {M}}\n" + APP,
        "config.yaml:2: api.base_url: must be a single value, not a mapping",
    ),
    bad("apps is text", "apps: {M}\n", "config.yaml:1: apps: must be a list, not text"),
    bad("apps is a mapping", "apps:\n  appid: {M}\n", "config.yaml:1: apps: must be a list, not a mapping"),
    bad(
        "app is text",
        "apps:\n- {M}\n- [{M}]\n-\n",
        "config.yaml:2: apps[0]: must be a mapping, not text",
        "config.yaml:3: apps[1]: must be a mapping, not a list",
        "config.yaml:4: apps[2]: must be a mapping, not empty",
    ),
    bad(
        "app_config_files is text",
        "app_config_files: {M}\n" + APP,
        "config.yaml:1: app_config_files: must be a list, not text",
    ),
    bad(
        "pattern is a list",
        "app_config_files: [[{M}], '']\n" + APP,
        "config.yaml:1: app_config_files[0]: must be a file name or a pattern, not a list",
        "config.yaml:1: app_config_files[1]: is empty",
    ),
)

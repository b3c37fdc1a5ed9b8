"""What the operator wrote, checked and typed. YAML ends here."""

from exporter.config.app.addresses import APPID_PLACE
from exporter.config.app.secrets import EnvSecret, FileSecret, LiteralSecret, Secret, SecretUnavailable
from exporter.config.app.ways import (
    AppSecret,
    Authorizer,
    CloudFunction,
    CloudHosting,
    Datacube,
    HttpFunction,
    TokenFile,
    Tokens,
    TokenUrl,
    Way,
)
from exporter.config.document.problems import ConfigError, Problem
from exporter.config.durations import duration_words, parse_duration
from exporter.config.load import load
from exporter.config.types import Api, App, BrokenFile, Config, Defaults, Fetch
from exporter.config.watch import fingerprint
from exporter.config.web_config.tls import TlsServer
from exporter.config.web_config.web import WebConfig, load_web

__all__ = [
    "APPID_PLACE",
    "Api",
    "App",
    "AppSecret",
    "Authorizer",
    "BrokenFile",
    "CloudFunction",
    "CloudHosting",
    "Config",
    "ConfigError",
    "Datacube",
    "Defaults",
    "EnvSecret",
    "Fetch",
    "FileSecret",
    "HttpFunction",
    "LiteralSecret",
    "Problem",
    "Secret",
    "SecretUnavailable",
    "TlsServer",
    "TokenFile",
    "TokenUrl",
    "Tokens",
    "Way",
    "WebConfig",
    "duration_words",
    "fingerprint",
    "load",
    "load_web",
    "parse_duration",
]

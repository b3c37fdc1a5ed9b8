"""The configuration, validated and typed. No other package parses YAML."""

from exporter.config.app.access_config import (
    AccessConfig,
    AppSecret,
    Authorizer,
    CloudFunction,
    CloudHosting,
    Datacube,
    HttpFunction,
    TokenConfig,
    TokenFile,
    TokenUrl,
)
from exporter.config.app.addresses import APPID_PLACE
from exporter.config.app.secrets import EnvSecret, FileSecret, LiteralSecret, Secret, SecretUnavailable
from exporter.config.document.problems import ConfigError, Problem
from exporter.config.durations import format_duration, parse_duration
from exporter.config.files import replacing, resolve_links, write_atomically
from exporter.config.load import load
from exporter.config.types import Api, App, BrokenFile, Config, Defaults, Fetch
from exporter.config.watch import file_signatures
from exporter.config.web_config.web import WebConfig, load_web

__all__ = [
    "APPID_PLACE",
    "AccessConfig",
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
    "TokenConfig",
    "TokenFile",
    "TokenUrl",
    "WebConfig",
    "file_signatures",
    "format_duration",
    "load",
    "load_web",
    "parse_duration",
    "replacing",
    "resolve_links",
    "write_atomically",
]

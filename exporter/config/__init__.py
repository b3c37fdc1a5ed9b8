"""What the operator wrote, checked and typed. YAML ends here."""

from exporter.config.durations import duration_words, parse_duration
from exporter.config.load import load
from exporter.config.problems import ConfigError, Problem
from exporter.config.secrets import EnvSecret, FileSecret, LiteralSecret, Secret, SecretUnavailable
from exporter.config.types import Api, App, BrokenFile, Config, Defaults, Fetch

__all__ = [
    "Api",
    "App",
    "BrokenFile",
    "Config",
    "ConfigError",
    "Defaults",
    "EnvSecret",
    "Fetch",
    "FileSecret",
    "LiteralSecret",
    "Problem",
    "Secret",
    "SecretUnavailable",
    "duration_words",
    "load",
    "parse_duration",
]

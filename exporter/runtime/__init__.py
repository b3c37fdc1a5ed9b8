"""Composition: the engine below the web, configuration reloads, one live check against the real WeChat."""

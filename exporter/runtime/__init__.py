"""Composition: the parts below the web wired together, the next configuration, one check against the real WeChat."""

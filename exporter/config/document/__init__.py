"""The YAML layer: parses text to a checked tree; sections report problems with their lines."""

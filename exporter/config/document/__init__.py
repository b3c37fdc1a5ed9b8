"""The YAML layer: text becomes a checked tree, sections say what is wrong and where."""

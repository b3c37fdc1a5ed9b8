"""An app and its access method: its id, the sources of its secrets, the URLs that they may be sent to."""

"""An app and its access method: who it is, where its secrets are, which addresses they may be sent to."""

"""The web configuration: TLS, headers and passwords."""

"""A SIP server that runs kamailio.cfg files."""

__version__ = "0.1.0"

KAMAILIO_VERSION = "5.6.3"
"""The release whose behaviour, names and outputs are reproduced."""

SIGNATURE = f"kamailio {KAMAILIO_VERSION} (x86_64/linux)"
"""What the server calls itself towards those who ask for its version."""

"""A SIP server that runs kamailio.cfg files."""

__version__ = "0.1.0"

KAMAILIO_VERSION = "5.6.3"
"""The release whose behaviour, names and outputs are reproduced."""

"""Kamailio modules, one file or folder each, under the module's own name."""

"""Transformations, `{class.name,parameters}` behind a pseudo-variable: one file for each kind of thing they work on.

A module exports its classes by name (`Module.transformations`); none is known before that module is loaded.
"""

"""`kambench`: what a request costs on this server and on real Kamailio, measured side by side on the user's own cfg.

Stands on top of the house: nothing imports it, and it knows servers only by their command lines, /proc and their
answers.
"""

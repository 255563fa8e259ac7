"""Tables of script expressions whose values on real Kamailio and on kamailio-py are compared; `runner` does it."""

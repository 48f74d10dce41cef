"""Attacks on lbfgsd's storage from outside, on the real binary. run.py says how to use it."""

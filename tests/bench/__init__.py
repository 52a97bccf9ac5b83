"""Timings of Darkroom on this machine: `make bench`. They are printed, never asserted."""

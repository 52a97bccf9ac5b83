"""Imaging: bytes to variants, in children that a bad file cannot make harmful.

`pipeline.develop` is the way in steps; `child` runs it in a process of its own; `pool` keeps such children
warm, feeds them and ends them.
"""

"""Chaos: the promises of the design, held under faults, over real processes.

`fleet` has the processes, `load` sends uploads, `journal` notes every change of every record, `verdict`
judges what came of it, `scenarios` are the faults. `make chaos` runs them all and prints a table; the tests
run a shortened pass.
"""

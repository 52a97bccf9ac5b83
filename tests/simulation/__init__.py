"""The simulation: the use cases over parts in memory, in virtual time, with every fault that a seed draws.

All that happens in one history follows from its seed: `python -m tests.simulation SEED` shows it again,
step by step.
"""

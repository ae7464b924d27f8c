"""Simulation: fleets that do not fit a machine, in virtual time, with the real control law in the loop."""

"""Compare policies: over recorded readings, and over a simulated fleet. Pure, like `selection`.

chance    a random number generator that gives the same numbers for a seed on every Python
world     what happens in a simulated fleet under any policy: sessions, outages, use elsewhere
fleet     the simulated accounts, with their true usage
simulate  a policy at work on the simulated fleet, which knows only what the accounts have reported
recorded  policies over logs
outcome   the figures of one policy, and their table
"""

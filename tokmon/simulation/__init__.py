"""What a policy would have done: over recorded readings, and over a simulated fleet. Pure, as `selection` is.

`chance` is a generator of its own, so that a seed gives the same fleet on every Python and the core imports no
`random`. `world` is what befalls a fleet whatever is chosen, `fleet` the accounts as they truly are, `simulate` lets a
policy choose from what the accounts have said, `recorded` does so from logs. What comes of it is an `outcome`.
"""

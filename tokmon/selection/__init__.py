"""Choosing an account for the next session. Pure: evidence, policy and `now` in, a decision out.

`standing` says what each account is good for as of now, `forecast` what a session would do to it, `choose` takes one.
The rules in words, with formulas and worked examples: docs/policy.md.
"""

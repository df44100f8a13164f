"""The installer: `host` is root's part for all members, `user` the program and what one user gets.

Plan, then act. Standard library only until the first version is made: a bare checkout has no packages.
"""

"""What the members of a host know of the accounts that they share: one folder for each, which all can read.

`folder` says which folders are believed, and opens their files; `publication` is what a member knows first hand;
`view` merges that of the others into a member's own snapshot; `roster` lists all members for a person.
"""

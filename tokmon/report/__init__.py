"""The screens: what people and agents read. They show assessments, and judge nothing. Pure, but for `terminal`.

words          durations, ages, clocks, percentages, bars, colours
severity       how urgent an account is
gauge          one window as of now
view           the snapshot as of now, account by account
status         that view as text
wake_block     the same as a few lines for an agent's prompt
status_json    the same as one object
members        the same of every member of the pool
decision_text  a decision and its alternatives
line           a line of the log
findings       the findings of the doctor
configuration  a policy as a `config.toml`
arguments      command lines: help, errors
terminal       where it is written
"""

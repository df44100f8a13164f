"""What people read: numbers in words, and reports as text. Pure; width, zone and `now` are arguments.

words    durations, ages, clocks, percentages, bars, paint
view     the snapshot as of now: what stands, what has expired, how severe it is
status   that view as text
wake     the same as a few lines for an agent's prompt
as_json  the same as one object
line     a line of the log as text
checks   the doctor's findings as text
"""

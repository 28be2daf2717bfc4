"""Out of memory: what the kernel's log tells of it.

    kernlog    one line of a kernel log: its time and its text, whatever wrote its prefix
    events     reports of the oom-killer out of such lines, as events
    scan       events out of gigabytes: only what looks like a report is read line by line
    clock      years for logs that have none
    files      kern.log, its rotated and compressed forms, several in order of time

Nothing here imports the API, SSH or the fleet.
"""

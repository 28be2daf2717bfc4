"""Out of memory: what the kernel's log tells of it.

    kernlog    one line of a kernel log: its time and its text, whatever wrote its prefix
    clock      years for logs that have none
    events     what a report of the oom-killer tells
    reports    reports out of such lines, whatever the kernel
    scan       events out of gigabytes: only what looks like a report is read line by line
    files      kern.log, its rotated and compressed forms, several in order of time
    tail       one file as it grows, over rotations and truncations
    follow     events out of what is appended, each told within a second
    hook       a command for each event, without waiting for it
    services   which service held how much memory, by a report's own table
    verdict    who was guilty of an event, and how sure that is
    incidents  events that belong together
    history    many incidents: a one-off, a pattern, or structural
    evidence   what advice rests on; cures are what can be done, and advice weighs them
    plots      the pictures of the report, and report the page
    replay     a history of kills under the platform's documented trigger
    logs       the other logs of a shop; timeline lays them beside an event

Nothing here imports the API, SSH or the fleet.
"""

"""The words of each era for a report: what `kernel_reports.told` says of it must be in them, and nothing else."""

from __future__ import annotations

from kernel_reports import Era, Process, Report

_CONSTRAINTS = {"global": "NONE", "memcg": "MEMCG", "cpuset": "CPUSET", "mempolicy": "MEMORY_POLICY"}


def records(report: Report, era: Era) -> list[str]:
    """Return what the kernel says, message by message."""
    report = report.in_era(era)
    said = []
    if report.by_hand:
        said.append(f"sysrq: {'SysRq : ' if era.version < (4, 20) else ''}Manual OOM execution")
    said += [_trigger(report, era), *_stack(report, era)]
    said += _cgroup(report, era) if report.scope == "memcg" else _memory(report, era)
    if report.dump_tasks and era.has_table:
        said += _table(report, era)
    return said + _ending(report, era)


def kill(process: Process, era: Era, *, lead: str = "Out of memory") -> str:
    """Return the line of a kill; `lead` stands on it only where there is one line for it."""
    file = process.file + (0 if era.has_shmem else process.shmem)
    sizes = f"total-vm:{process.total_vm * 4}kB, anon-rss:{process.anon * 4}kB, file-rss:{file * 4}kB"
    if era.version < (2, 6, 34):
        sizes = sizes.replace("total-vm", "vsz")
    if era.has_shmem:
        sizes += f", shmem-rss:{process.shmem * 4}kB"
    if era.version >= (5, 4):
        sizes += f", UID:{process.uid} pgtables:1372kB oom_score_adj:{process.adj}"
    head = f"{lead}: " if era.version >= (5, 1) else ""
    if era.vendor == "el6":
        return f"Killed process {process.pid}, UID {process.uid}, ({process.name}) {sizes}"
    if era.vendor == "el7":
        return f"Killed process {process.pid} ({process.name}), UID {process.uid}, {sizes}"
    return f"{head}Killed process {process.pid} ({process.name}){f' {sizes}' if era.has_sizes else ''}"


def chosen(process: Process, era: Era, *, lead: str = "Out of memory") -> str:
    """Return the first of two lines of a kill."""
    if era.version < (2, 6, 36):
        return f"{lead}: kill process {process.pid} ({process.name}) score 27939 or a child"
    return f"{lead}: Kill process {process.pid} ({process.name}) score 279 or sacrifice child"


def reaped(process: Process) -> str:
    """Return how a kill is confirmed, up to seconds later."""
    return f"oom_reaper: reaped process {process.pid} ({process.name}), now anon-rss:0kB, file-rss:0kB, shmem-rss:4kB"


def header(era: Era) -> str:
    """Return the head of the table."""
    bracket = "[  pid  ]" if era.version >= (4, 19) else "[ pid ]"
    first, *others = era.columns
    return f"{bracket}   {first}  {' '.join(others).replace('total_vm rss', 'total_vm      rss')} name"


def row(process: Process, era: Era) -> str:
    """Return the row of a process."""
    values = {
        "uid": process.uid,
        "tgid": process.pid,
        "total_vm": process.total_vm,
        "rss": process.rss,
        "rss_anon": process.anon,
        "rss_file": process.file,
        "rss_shmem": process.shmem,
        "swapents": process.swap,
        "cpu": 3,
        "oom_adj": _old_adj(process.adj),
        "oom_score_adj": process.adj,
        "nr_ptes": 22,
        "nr_pmds": 4,
        "pgtables_bytes": 90112,
    }
    width = 7 if era.version >= (4, 19) else 5
    return f"[{process.pid:{width}d}] {' '.join(f'{values[column]:8d}' for column in era.columns)} {process.name}"


def _old_adj(adj: int) -> int:
    return max(-17, min(15, adj * 17 // 1000))


def _trigger(report: Report, era: Era) -> str:
    mask = f"gfp_mask=0x{report.mask:x}"
    if era.version >= (4, 6):
        mask += f"({report.mask_names})"
    if (4, 9) <= era.version < (5, 0):
        mask += ", nodemask=(null), " if era.version < (4, 15) else ", nodemask=0-1"
    old = f"oom_adj={_old_adj(report.trigger_adj)}"
    adj = f"oom_score_adj={report.trigger_adj}"
    if era.version == (2, 6, 18):
        adj = old.replace("oom_adj", "oomkilladj")
    elif era.version < (2, 6, 36):
        adj = old
    elif era.version < (3, 7):
        adj = f"{old}, {adj}"
    return f"{report.trigger} invoked oom-killer: {mask}, order={report.order}, {adj}"


def _stack(report: Report, era: Era) -> list[str]:
    said = [] if era.version >= (5, 0) else [f"{report.trigger} cpuset=docker-0123456789ab mems_allowed=0"]
    if era.version < (3, 10):
        said.append(f"Pid: 4903, comm: {report.trigger} Not tainted {era} #1")
    else:
        uid = "UID: 0 " if era.version >= (6, 11) else ""
        said.append(f"CPU: 1 {uid}PID: 4903 Comm: {report.trigger} Tainted: G        W  O      {era} #127-Ubuntu")
        said.append("Hardware name: Some (R) Maker: Standard PC (i440FX + PIIX, 1996), BIOS 1.16 04/01/2014")
    if era.version < (4, 10):
        return [*said, "Call Trace:", " [<ffffffff813fb523>] ? dump_stack+0x63/0x90", "[<c019c3ed>] ? T.681+0x7d/0x1b0"]
    return [*said, "Call Trace:", " <TASK>", " oom_kill_process.cold+0xb/0x10", "RIP: 0033:0x7fe0ef0d0aa0", " </TASK>"]


def _memory(report: Report, era: Era) -> list[str]:
    return [
        "Mem-Info:",
        "active_anon:453506 inactive_anon:21374 isolated_anon:2\n active_file:82 inactive_file:51 isolated_file:1",
        "Node 0 DMA free:8208kB min:352kB low:440kB high:528kB active_anon:6272kB shmem:652kB all_unreclaimable? yes",
        "Node 0 DMA: 20*4kB (ME) 6*8kB (ME) 1*4096kB (M) = 8208kB",
        "Swap cache stats: add 0, delete 0, find 0/0",
        f"Free swap  = {report.swap_free_kib}kB",
        f"Total swap = {report.swap_total_kib}kB",
        f"{report.ram_pages} pages RAM",
        "0 pages HighMem/MovableOnly",
        *(
            ["Unreclaimable slab info:", "Name                      Used          Total"]
            if era.version >= (4, 15)
            else []
        ),
        *(["kmalloc-8k            123456KB     123456KB"] if era.version >= (4, 15) else []),
    ]


def _cgroup(report: Report, era: Era) -> list[str]:
    usage = f"memory: usage {report.usage_kib}kB, limit {report.limit_kib}kB, failcnt 83420"
    if era.version < (5, 0):
        return [
            f"Task in {report.memcg}/worker killed as a result of limit of {report.memcg}",
            usage,
            "memory+swap: usage 1kB, limit 9007199254740988kB, failcnt 0",
            "kmem: usage 7kB, limit 9007199254740988kB, failcnt 0",
            f"Memory cgroup stats for {report.memcg}: cache:1KB rss:1KB rss_huge:0KB mapped_file:0KB",
        ]
    stats = "anon 31154200576\nfile 688283648\nkernel_stack 5242880\nsock 405504\nshmem 687980544\npgfault 17"
    return [usage, "swap: usage 0kB, limit 0kB, failcnt 0", f"Memory cgroup stats for {report.memcg}:", stats]


def _table(report: Report, era: Era) -> list[str]:
    head = ["Tasks state (memory values in pages):"] if era.version >= (4, 19) else []
    return [*head, header(era), *(row(process, era) for process in report.processes)]


def _ending(report: Report, era: Era) -> list[str]:
    if report.ending == "lost":
        return []
    if report.ending == "nobody":
        return ["Out of memory and no killable processes..."]
    if report.ending == "panic":
        return [
            "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled",
            "",
            "Rebooting in 9 s",
        ]
    if report.ending == "deadlock":
        return ["Kernel panic - not syncing: System is deadlocked on memory"]
    lead = "Memory cgroup out of memory" if report.scope == "memcg" else "Out of memory"
    if report.by_hand and report.scope == "global":
        lead = "Out of memory (oom_kill_allocating_task)"
    victims = [report.processes[place] for place in report.victims]
    said = [_summary(report, era, victims[0])] if era.has_summary else []
    if era.version < (5, 1):
        said.append(chosen(report.processes[report.chosen], era, lead=lead))
    said.append(kill(victims[0], era, lead=lead))
    if len(victims) > 1:
        said.append(f"Tasks in {report.memcg} are going to be killed due to memory.oom.group set")
        said += [kill(process, era, lead=lead) for process in (*victims[1:], victims[0])]
    if report.reaped and era.version >= (4, 6):
        said += [reaped(process) for process in victims]
    return said


def _summary(report: Report, era: Era, victim: Process) -> str:
    constraint = _CONSTRAINTS[report.scope] if era.version >= (5, 1) else "NONE"
    where = f"oom_memcg={report.memcg}" if report.scope == "memcg" else "global_oom"
    lives = f"task_memcg={report.memcg if report.scope == 'memcg' else '/user.slice'}/worker"
    uid = victim.uid - (1 << 32 if victim.uid > 0x7FFFFFFF else 0)
    return (
        f"oom-kill:constraint=CONSTRAINT_{constraint},nodemask=(null),cpuset=/,mems_allowed=0,{where},{lives},"
        f"task={victim.name},pid={victim.pid},uid={uid}"
    )

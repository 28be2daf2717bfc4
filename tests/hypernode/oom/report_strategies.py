"""Hypothesis strategies of OOM reports, of names that a process can give itself, and of what stands between reports."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from kernel_reports import ERAS, NO_LIMIT, Process, Report
from log_styles import STYLES, WHEN, Said, Style, written

eras = st.sampled_from(ERAS)
styles = st.sampled_from(STYLES)

QUOTES = (
    ") score 5 or sa",
    "x), UID 27, (y",
    ") total-vm:1kB,",
    "Killed process",
    "Out of memory: ",
    "Kill process 7 ",
    ",task=x,pid=7,u",
    ",pid=1,uid=0",
    ",oom_memcg=/x",
    ",global_oom,",
    "oom-kill:constr",
    "gfp_mask=0x1",
    "order=3, x",
    " [ pid ] uid",
    "UID:5 x",
    "oom_score_adj:7",
)
"""Words of the report as names; a name has at most 15 bytes."""

NAMES = (
    "php-fpm",
    "mysqld",
    "VM Thread",
    "(sd-pam)",
    "app (build 7",
    "sh:[2]",
    "in:imklog",
    "/usr/sbin/amavi",
    "kworker/u8:3",
    "Thread-7",
    "7zip",
    "42",
    "a b  c",
    "Bücherwürmer \udcc3",
    "日本語日本\udce6\udc97",
    "\x01\x02\x7f",
    "\udcff\udcfe",
    "a,b;c=d",
    '"quoted"',
    "]",
    "((((",
    "x ",
    "",
)

_LOOKS_LIKE_A_PREFIX = re.compile(r"\[|<[0-9]|[0-9]{1,4},|.*kernel: |[A-Z][a-z]{2} |[0-9]{4}-|:? ")


def _clean(name: str) -> bool:
    """Tell whether a log can hold the name as it is: no line's end, no escape of a terminal or of rsyslog."""
    return not set(name) & set("\n\r\0\x1b\t") and "#0" not in name


any_names = st.one_of(
    st.sampled_from(NAMES + QUOTES),
    st.binary(max_size=15).map(lambda raw: raw.decode("utf-8", "surrogateescape")).filter(_clean),
    st.text(st.characters(codec="utf-8"), max_size=15)
    .map(lambda text: text.encode()[:15].decode("utf-8", "surrogateescape"))
    .filter(_clean),
)
trigger_names = any_names.filter(lambda name: not _LOOKS_LIKE_A_PREFIX.match(name) and name)
"""Names that begin a line, and so must not look like a prefix where there is none."""
ordinary_names = st.sampled_from(NAMES).filter(
    lambda name: not set(name) & set(")],") and name.strip() == name and name
)

_pages = st.integers(0, 1 << 30)


def processes(names: st.SearchStrategy[str] = any_names) -> st.SearchStrategy[Process]:
    """Processes, some of them very large."""
    return st.builds(
        Process,
        pid=st.integers(1, 9999) | st.integers(1_000_000, 4_194_304),
        name=names,
        uid=st.integers(0, 70_000),
        total_vm=_pages,
        anon=_pages,
        file=_pages,
        shmem=_pages,
        swap=_pages,
        adj=st.sampled_from([0, -1000, 1000, -17, 200]),
    )


@st.composite
def reports(draw: st.DrawFn, names: st.SearchStrategy[str] = any_names) -> Report:
    """Reports of any kind; `in_era` takes from them what an era did not know."""
    table = draw(st.lists(processes(names), min_size=1, max_size=6, unique_by=lambda process: process.pid))
    places = st.integers(0, len(table) - 1)
    return draw(
        st.builds(
            Report,
            trigger=trigger_names if names is any_names else names,
            trigger_adj=st.integers(-1000, 1000),
            mask=st.sampled_from([0, 0x201DA, 0x24201CA, 0x1100CCA, (1 << 64) - 1]),
            mask_names=st.sampled_from(["GFP_KERNEL", "GFP_HIGHUSER_MOVABLE|__GFP_ZERO", "0", "GFP_NOFS|0x8000"]),
            order=st.sampled_from([0, 1, 3, 9, 10, -1]),
            scope=st.sampled_from(["global", "memcg", "cpuset", "mempolicy"]),
            memcg=st.sampled_from(["/", "/lxc/39004", "/docker/0123", "/a b/c", "/user.slice/user-1000.slice"]),
            processes=st.just(tuple(table)),
            victims=st.lists(places, min_size=1, max_size=4, unique=True).map(tuple),
            chosen=places,
            dump_tasks=st.booleans(),
            ending=st.sampled_from(["kill", "kill", "kill", "kill", "nobody", "panic", "deadlock", "lost"]),
            by_hand=st.booleans(),
            reaped=st.booleans(),
            usage_kib=_pages,
            limit_kib=_pages | st.just(NO_LIMIT),
        )
    )


_GHOST = "Out of memory: Killed process 666 (ghost) total-vm:1kB, anon-rss:1kB, file-rss:0kB"
NOISE = (
    Said(
        "[UFW BLOCK] IN=eth0 OUT= MAC=f2:3c:91 SRC=192.0.2.7 DST=192.0.2.1 LEN=40 TOS=0x00 PROTO=TCP DPT=23 SYN URGP=0"
    ),
    Said(
        "iptables denied: IN=eth0 OUT= SRC=192.0.2.5 DST=192.0.2.1 LEN=72 TTL=54 ID=0 DF PROTO=UDP SPT=1 DPT=2 LEN=52"
    ),
    Said("docker0: port 1(veth1a2b3c4) entered disabled state"),
    Said('audit: type=1400 audit(1709633730.123:45): apparmor="DENIED" operation="open" pid=9 comm="php-fpm" fsuid=33'),
    Said("[drm:drm_atomic_helper [drm_kms_helper]] *ERROR* flip_done timed out"),
    Said("php-fpm[1234]: segfault at 0 ip 000055 sp 00007ffc error 4 in php-fpm8.2[55d+1000]"),
    Said("TCP: out of memory -- consider tuning tcp_mem"),
    Said(""),
    Said("mysql.service: A process of this unit has been killed by the OOM killer.", "systemd[1]"),
    Said("mysql.service: Failed with result 'oom-kill'.", "systemd[1]"),
    Said("/usr/bin/mysqld_safe: line 9:  1234 Killed   nohup /usr/sbin/mysqld", "mysqld_safe"),
    Said(_GHOST, "kubelet[77]"),
    Said(f"kernel: {_GHOST}", "node-problem-detector[8]"),
    Said("ghost invoked oom-killer: gfp_mask=0x1(GFP_ATOMIC), order=7, oom_score_adj=7", "oomd-watch"),
    Said("Killed process 666 (ghost)", "kernelsnoop"),
    Said(f'{{"msg": "kernel: {_GHOST}"}}', "containerd"),
    Said("-- Subject: Unit mysql.service has finished start-up\n-- \n--   Out of memory: it is not", ""),
    Said(f"                                   {_GHOST}", ""),
)
"""Lines of others; none of them tells of a kill, whatever it says."""
noise = st.sampled_from(NOISE)


@st.composite
def between(draw: st.DrawFn, said: list[str], *, most: int = 8) -> list[str | Said]:
    """`said` with noise at any places."""
    mixed: list[str | Said] = list(said)
    for word in draw(st.lists(noise, max_size=most)):
        mixed.insert(draw(st.integers(0, len(mixed))), word)
    return mixed


@st.composite
def logs(draw: st.DrawFn, *, names: st.SearchStrategy[str] = any_names) -> list[bytes]:
    """Whole logs in one style: some reports, noise between and within them, lines lost, damaged or doubled."""
    from kernel_wording import records

    style: Style = draw(styles)
    said: list[str] = []
    for _ in range(draw(st.integers(0, 4))):
        told = records(draw(reports(names)), draw(eras))
        said += told[draw(st.integers(0, len(told))) :] if draw(st.booleans()) else told
    lines = written(draw(between(said)), style, when=WHEN)
    for place in draw(st.lists(st.integers(0, max(0, len(lines) - 1)), max_size=3)) if lines else ():
        lines[place] = draw(st.sampled_from([b"", lines[place][:40], lines[place] * 2, b"\0\xff\n", lines[place][9:]]))
    return lines

"""The Redis key map, written once.

What brokers accepted and no decoder has finished, dead letters and counts: `state.raw`, `state.dead_letters` and
`state.totals` have their keys.

Where devices are, what they were seen in, and the windows that count them: `state.devices`, `state.presence`,
`state.seen`, `state.windows`, `state.dirty_windows`; the campus: `state.campus`. Left by the version before, until it
lapses:

    window:{width}:{start}:{zone}:{kind}  set    distinct devices of one window; `start` in ms
    windows:dirty    sorted set  `{width}:{start}:{zone}:{kind}` -> when its roll-up is due (ms)

And beside them:

"""

DIRTY_WINDOWS = "windows:dirty"


def window(member: str) -> str:
    """The set behind one window; `member` is its name in `windows:dirty`."""
    return f"window:{member}"

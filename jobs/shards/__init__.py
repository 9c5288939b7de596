"""A queue that is divided among shards, behind the same protocols as an undivided one."""

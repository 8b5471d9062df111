"""What dead actors had reserved is given back, and nothing else."""

import os
import time

import pytest

from search import cluster, orphans


class Maker:
    def reserve(self):
        from ray.util.placement_group import placement_group

        for _ in range(2):  # one is granted, one waits for what the first has
            placement_group([{"CPU": 1}])

    def die(self):
        os._exit(1)


def reserved():
    from ray.util.placement_group import placement_group_table

    found = [group["state"] for group in placement_group_table().values()]
    return sorted(state for state in found if state != "REMOVED")


@pytest.mark.ray
def test_what_the_dead_reserved_is_given_back():
    with cluster.connected(None, lambda what: pytest.fail(what)):
        import ray

        living, dying = (ray.remote(num_cpus=0)(Maker).remote() for _ in range(2))
        for maker in (living, dying):
            ray.get(maker.reserve.remote())
        assert orphans.release() == 0, "both are alive"
        dying.die.remote()
        deadline = time.monotonic() + 60
        while (released := orphans.release()) == 0 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert released == 2
        while len(reserved()) > 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(reserved()) == 2, "those of the living one"
        assert orphans.release() == 0

"""Measures a running bridge: CPU time and wall time of its requests, from a report on the bus to its event, memory.

usage: measure.py PORT PIN CONTROL_PORT PID

PID is the bridge's process, CONTROL_PORT that of the emulated house, whose module 0012345001 has the first accessory
at output 0. The bridge must be unpaired and stays paired. Prints one figure a line.
"""

import asyncio
import os
import statistics
import sys
import time

from aio import BRIGHTNESS, KIND, ON, lamps, order
from aiohomekit.characteristic_cache import CharacteristicCacheMemory
from aiohomekit.controller.ip.controller import IpController
from aiohomekit.controller.ip.discovery import IpDiscovery
from aiohomekit.model.categories import Categories
from aiohomekit.model.feature_flags import FeatureFlags
from aiohomekit.model.status_flags import StatusFlags
from aiohomekit.zeroconf import HomeKitService
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def say(what, values_ms):
    ordered = sorted(values_ms)
    print(f"{what:34} p50 {statistics.median(ordered):8.3f} ms   p99 {ordered[int(len(ordered) * 0.99)]:8.3f} ms   "
          f"max {ordered[-1]:8.3f} ms")


async def repeat(what, count, pid, request):
    await request()
    begun, took = cpu_seconds(pid), []
    for _ in range(count):
        started = time.perf_counter()
        await request()
        took.append((time.perf_counter() - started) * 1000)
    say(what, took)
    print(f"{what:34} cpu {(cpu_seconds(pid) - begun) / count * 1e6:8.1f} us a request")


async def events(pairing, control, keys):
    """From the turn of a switch on the wall to the event; the emulated bus takes its own time."""
    heard, took = asyncio.Event(), []
    pairing.event_received = lambda event: heard.set()
    await pairing.subscribe(keys)
    await order(control, do="turn", serial="0012345001", output=0, on=False)
    await asyncio.sleep(1)
    for turn in range(40):
        heard.clear()
        started = time.perf_counter()
        await order(control, do="turn", serial="0012345001", output=0, on=turn % 2 == 0)
        try:
            await asyncio.wait_for(heard.wait(), 5)
        except asyncio.TimeoutError:
            print("wall switch to event               none within 5 s")
            return
        took.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.3)
    say("wall switch to event", took)


def straight(port):
    """The bridge as if it had been found."""
    return HomeKitService("Home", "00:00:00:00:00:00", "", FeatureFlags(0), StatusFlags(1), 1, 1, Categories(2), "1.1",
                          KIND, "127.0.0.1", ["127.0.0.1"], port)


async def pair(zeroconf, port, pin):
    """A pairing, and all its lamps."""
    # A controller wants a browser to be there, although nothing is looked for.
    AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[lambda **_: None])
    discovery = IpDiscovery(IpController(CharacteristicCacheMemory(), zeroconf), straight(port))
    pairing = await (await discovery.async_start_pairing("home"))(pin)
    return pairing, lamps(await pairing.list_accessories_and_characteristics())


def reader(pairing, keys):
    url = "/characteristics?id=" + ",".join(f"{aid}.{iid}" for aid, iid in keys)
    return lambda: pairing.connection.get_json(url)


async def reads(port, pin, control, pid):
    """What can be compared with another bridge: cached reads, and events of the bus."""
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        pairing, found = await pair(zeroconf, port, pin)
        ons = [(aid, own[ON]) for aid, own in found.items()]
        await repeat("GET 1", 3000, pid, reader(pairing, ons[:1]))
        await repeat("GET 24", 2000, pid, reader(pairing, ons[:24]))
        await repeat("GET /accessories", 50, pid, lambda: pairing.connection.get_json("/accessories"))
        await events(pairing, control, ons)
        print(f"rss {rss_mib(pid):.1f} MiB")
        await pairing.close()


async def main(port, pin, control, pid):
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        pairing, found = await pair(zeroconf, port, pin)
        keys = [(aid, own[kind]) for aid, own in found.items() for kind in (ON, BRIGHTNESS) if kind in own]
        ons = [(aid, own[ON]) for aid, own in found.items()]
        print(f"accessories {len(found)}, characteristics {len(keys)}, rss {rss_mib(pid):.1f} MiB")
        await repeat(f"GET all {len(keys)}", 300, pid, reader(pairing, keys))
        await scenes(pairing, ons[1:149])
        await asyncio.sleep(15)
        await order(control, do="fault", kind="silence", serial="0012345001")
        await pairing.put_characteristics([(*ons[0], True)])
        end, lost = time.monotonic() + 60, {}
        while lost.get("status", 0) == 0 and time.monotonic() < end:
            await asyncio.sleep(0.5)
            lost = (await pairing.get_characteristics([ons[0]]))[ons[0]]
        print(f"a silent lamp has status {lost['status']} after {60 - (end - time.monotonic()):.0f} s")
        await repeat("GET the others meanwhile", 200, pid, reader(pairing, keys[10:]))
        await order(control, do="clear_faults")
        print(f"rss {rss_mib(pid):.1f} MiB")
        await pairing.remove_pairing(pairing.pairing_data["iOSPairingId"])
        await pairing.close()
    await reads(port, pin, control, pid)


async def scenes(pairing, keys):
    took = []
    for turn in range(5):
        body = [{"aid": aid, "iid": iid, "value": turn % 2 == 0} for aid, iid in keys]
        started = time.perf_counter()
        await pairing.connection.put_json("/characteristics", {"characteristics": body})
        took.append((time.perf_counter() - started) * 1000)
    say(f"PUT scene of {len(keys)}", took)


if __name__ == "__main__":
    asyncio.run(main(*[part if at == 1 else int(part) for at, part in enumerate(sys.argv[1:5])]))

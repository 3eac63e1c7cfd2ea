"""Measures a running bridge: CPU time and wall time of its requests, from a report on the bus to its event, memory.

usage: measure.py PORT PIN CONTROL_PORT PID

PID is the bridge's process, CONTROL_PORT that of the emulated house, whose module 0012345001 has the first accessory
at output 0. The bridge must be unpaired and is unpaired again. Prints one figure a line.
"""

import asyncio
import os
import statistics
import sys
import time

from aio import ON, BRIGHTNESS, KIND, find, lamps, order
from aiohomekit.characteristic_cache import CharacteristicCacheMemory
from aiohomekit.controller.ip.controller import IpController
from aiohomekit.controller.ip.discovery import IpDiscovery
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


async def events(pairing, control, key):
    """From the turn of a switch on the wall to the event; the emulated bus takes its own time."""
    heard, took = asyncio.Event(), []
    pairing.event_received = lambda event: heard.set()
    await pairing.subscribe([key])
    await order(control, do="turn", serial="0012345001", output=0, on=False)
    await asyncio.sleep(1)
    for turn in range(40):
        heard.clear()
        started = time.perf_counter()
        await order(control, do="turn", serial="0012345001", output=0, on=turn % 2 == 0)
        await asyncio.wait_for(heard.wait(), 5)
        took.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.3)
    say("wall switch to event", took)


async def main(port, pin, control, pid):
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        browser = AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[lambda **_: None])
        controller = IpController(CharacteristicCacheMemory(), zeroconf)
        description = await find(zeroconf, port, lambda _: True)
        discovery = IpDiscovery(controller, description)
        pairing = await (await discovery.async_start_pairing("home"))(pin)
        found = lamps(await pairing.list_accessories_and_characteristics())
        keys = [(aid, own[kind]) for aid, own in found.items() for kind in (ON, BRIGHTNESS) if kind in own]
        ons = [(aid, own[ON]) for aid, own in found.items()]
        print(f"accessories {len(found)}, characteristics {len(keys)}, rss {rss_mib(pid):.1f} MiB")
        ask = pairing.connection.get_json

        def read(which):
            url = "/characteristics?id=" + ",".join(f"{aid}.{iid}" for aid, iid in which)
            return lambda: ask(url)

        await repeat("GET 1", 2000, pid, read(ons[:1]))
        await repeat("GET 24", 1000, pid, read(ons[:24]))
        await repeat(f"GET all {len(keys)}", 300, pid, read(keys))
        await repeat("GET /accessories", 50, pid, lambda: ask("/accessories"))
        await events(pairing, control, ons[0])
        scene, took = ons[1:149], []
        for turn in range(5):
            started = time.perf_counter()
            body = [{"aid": aid, "iid": iid, "value": turn % 2 == 0} for aid, iid in scene]
            await pairing.connection.put_json("/characteristics", {"characteristics": body})
            took.append((time.perf_counter() - started) * 1000)
        say(f"PUT scene of {len(scene)}", took)
        await asyncio.sleep(15)
        await order(control, do="fault", kind="silence", serial="0012345001")
        await pairing.put_characteristics([(*ons[0], True)])
        end, lost = time.monotonic() + 60, {}
        while lost.get("status", 0) == 0 and time.monotonic() < end:
            await asyncio.sleep(0.5)
            lost = (await pairing.get_characteristics([ons[0]]))[ons[0]]
        print(f"silent lamp: {lost} after {60 - (end - time.monotonic()):.0f} s")
        await repeat("GET the others while one is silent", 200, pid, read(keys[10:]))
        await order(control, do="clear_faults")
        print(f"rss {rss_mib(pid):.1f} MiB")
        await pairing.remove_pairing(pairing.pairing_data["iOSPairingId"])
        await pairing.close()
        await browser.async_cancel()


if __name__ == "__main__":
    asyncio.run(main(*[part if at == 1 else int(part) for at, part in enumerate(sys.argv[1:5])]))

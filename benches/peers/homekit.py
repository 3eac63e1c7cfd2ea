"""Measures the HomeKit door beside its peers and prints a table for the report.

usage: homekit.py CONBUSD

Every bridge has 148 dimmable lamps and the same client, aiohomekit, on a kept connection of its own; they are asked by
turns. CONBUSD_FOREIGN_XP names the `xp` of conson-xp, CONBUSD_PEERS_NODE a folder of packages with HAP-NodeJS; one that
is not there is left out. CPU is the scheduler's time of all threads.
"""

import asyncio
import glob
import os
import pathlib
import pty
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "homekit"))

from aio import BRIGHTNESS, ON, order  # noqa: E402
from measure import pair, reader  # noqa: E402
from zeroconf.asyncio import AsyncZeroconf  # noqa: E402

CODE = "271-82-818"
MODULES, LAMPS = 50, 148
ROUNDS = 5
SESSIONS = 16


def lamps():
    every = [(module, output) for module in range(1, MODULES + 1) for output in range(3)]
    return every[:LAMPS]


def serial(module):
    return f"00123450{module:02}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def our_config(ports):
    text = (f'[[gateway]]\nid = "home"\naddress = "127.0.0.1:{ports["bus"]}"\n'
            f'[homekit]\nlisten = "127.0.0.1:{ports["homekit"]}"\npin = "{CODE}"\n')
    for module in range(1, MODULES + 1):
        text += f'[[module]]\nserial = "{serial(module)}"\ntype = "XP33LED"\nlink = {module}\n'
    for module, output in lamps():
        text += (f'[[accessory]]\nid = "m{module}o{output}"\nname = "Lamp {module} {output}"\nkind = "dimmer"\n'
                 f'module = "{serial(module)}"\noutput = {output}\n')
    return text


def write_conson(folder, ports):
    network = f'{{ ip: 127.0.0.1, port: {ports["bus"]}, timeout: 1 }}'
    (folder / "cli.yml").write_text(f"conbus: {network}\n")
    (folder / "logger.yml").write_text("log: { path: log }\n")
    (folder / "conson.yml").write_text("".join(
        f'- {{ name: m{n}, serial_number: "{serial(n)}", module_type: XP33LED, module_type_code: 35, link_number: {n} }}\n'
        for n in range(1, MODULES + 1)))
    ids = ", ".join(f"m{module}o{output}" for module, output in lamps())
    text = (f'homekit: {{ ip: 127.0.0.1, port: {ports["homekit"]}, pincode: "{CODE}", accessory_state_file: ./state }}\n'
            f'conson: {network}\nbridge: {{ name: Home, rooms: [{{ name: Room, accessories: [{ids}] }}] }}\n'
            "accessories:\n")
    for module, output in lamps():
        text += (f'  - {{ name: "Lamp {module} {output}", id: m{module}o{output}, serial_number: "{serial(module)}", '
                 f'output_number: {output}, description: lamp, service: dimminglight, '
                 f'on_action: E02L{module:02}I0{output}, off_action: E02L{module:02}I1{output} }}\n')
    (folder / "homekit.yml").write_text(text)


class Bridge:
    """A program with a HomeKit port, in a folder of its own, and what it needs."""

    def __init__(self, name):
        self.name = name
        self.ports = {what: free_port() for what in ("bus", "control", "homekit")}
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.started = []

    def start(self, words, **more):
        self.started.append(subprocess.Popen(words, cwd=self.path, stderr=subprocess.DEVNULL, **more))
        return self.started[-1]

    def gateway(self, conbusd):
        (self.path / "config.toml").write_text(our_config(self.ports))
        self.start([conbusd, "emulator", "--instant", "--listen", f'127.0.0.1:{self.ports["bus"]}', "--control",
                    f'127.0.0.1:{self.ports["control"]}'])
        time.sleep(1)

    def end(self):
        for program in reversed(self.started):
            program.terminate()
        for program in self.started:
            program.wait()
        self.folder.cleanup()

    def cpu(self):
        total = 0
        for path in glob.glob(f"/proc/{self.program.pid}/task/*/schedstat"):
            with open(path) as stat:
                total += int(stat.read().split()[0])
        return total / 1000

    def rss_mib(self):
        with open(f"/proc/{self.program.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def ours(conbusd):
    bridge = Bridge("conbusd")
    bridge.gateway(conbusd)
    bridge.program = bridge.start([conbusd, "run"])
    return bridge


def conson(conbusd, xp):
    bridge = Bridge("conson-xp 2.1.15")
    bridge.gateway(conbusd)
    write_conson(bridge.path, bridge.ports)
    terminal, slave = pty.openpty()

    def drain():
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:
            pass

    threading.Thread(target=drain, daemon=True).start()
    bridge.program = bridge.start([xp, "term", "homekit"], stdin=slave, stdout=slave,
                                  env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
    return bridge


def hap_nodejs(packages):
    bridge = Bridge("HAP-NodeJS 1.2.0, lamps in memory")
    bridge.program = bridge.start(["node", str(HERE / "lamps.js"), str(bridge.ports["homekit"]), CODE, str(LAMPS)],
                                  env={**os.environ, "NODE_PATH": packages}, stdout=subprocess.DEVNULL)
    return bridge


async def listening(port):
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


async def one_series(bridge, request, count):
    await request()
    before, took = bridge.cpu(), []
    for _ in range(count):
        begun = time.perf_counter()
        await request()
        took.append((time.perf_counter() - begun) * 1e6)
    took.sort()
    return (bridge.cpu() - before) / count, statistics.median(took), took[int(len(took) * 0.99)]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


async def table(bridges):
    print("HomeKit, encrypted reads of cached values by one client, medians of "
          f"{ROUNDS} rounds by turns; requests a second would be the client's own limit:\n")
    print("| characteristics | bridge | CPU µs a request | to conbusd | p50 µs | p99 µs |\n|---|---|---|---|---|---|")
    for size, count in ((1, 400), (24, 200), (296, 40)):
        results = {bridge.name: [] for bridge in bridges}
        for turn in range(ROUNDS):
            for bridge in bridges[turn % len(bridges):] + bridges[:turn % len(bridges)]:
                results[bridge.name].append(await one_series(bridge, bridge.requests[size], count))
        own = statistics.median(series[0] for series in results[bridges[0].name])
        for name, series in results.items():
            cpu, middle, tail = (statistics.median(column) for column in zip(*series))
            print(f"| {size} | {name} | {number(cpu)} | {cpu / own:.1f} | {number(middle)} | {number(tail)} |")
    print("\n| bridge | RSS MiB with 148 lamps |\n|---|---|")
    for bridge in bridges:
        print(f"| {bridge.name} | {bridge.rss_mib():.1f} |")


async def fan_out(bridge, pairing):
    """From a switch on the wall to the event in the last of many sessions of one controller."""
    heard, sessions = asyncio.Queue(), []
    key = bridge.ons[0]
    for at in range(SESSIONS):
        session = type(pairing)(pairing.controller, dict(pairing.pairing_data))
        session.description = pairing.description
        session.dispatcher_connect(lambda event, at=at: heard.put_nowait(at))
        await session.list_accessories_and_characteristics()
        await session.subscribe([key])
        sessions.append(session)
    await asyncio.sleep(1)
    took = []
    for turn in range(20):
        while not heard.empty():
            heard.get_nowait()
        begun, seen = time.perf_counter(), set()
        await order(bridge.ports["control"], do="turn", serial=serial(1), output=0, on=turn % 2 == 0)
        while len(seen) < SESSIONS:
            seen.add(await asyncio.wait_for(heard.get(), 5))
        took.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.3)
    print(f"\nFrom a switch on the wall to the event in the last of {SESSIONS} HomeKit sessions, client and control port "
          f"included: median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms.")
    for session in sessions:
        await session.close()


async def main(bridges):
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        pairings = []
        for bridge in bridges:
            await listening(bridge.ports["homekit"])
        await asyncio.sleep(12)
        for bridge in bridges:
            pairing, found = await pair(zeroconf, bridge.ports["homekit"], CODE)
            pairings.append(pairing)
            bridge.ons = [(aid, own[ON]) for aid, own in found.items()]
            every = bridge.ons + [(aid, own[BRIGHTNESS]) for aid, own in found.items()]
            bridge.requests = {size: reader(pairing, every[:size]) for size in (1, 24, 296)}
        await table(bridges)
        await fan_out(bridges[0], pairings[0])
        for pairing in pairings:
            await pairing.close()


if __name__ == "__main__":
    conbusd = os.path.abspath(sys.argv[1])
    bridges = [ours(conbusd)]
    try:
        if os.environ.get("CONBUSD_PEERS_NODE"):
            bridges.append(hap_nodejs(os.environ["CONBUSD_PEERS_NODE"]))
        if os.environ.get("CONBUSD_FOREIGN_XP"):
            bridges.append(conson(conbusd, os.environ["CONBUSD_FOREIGN_XP"]))
        asyncio.run(main(bridges))
    finally:
        for bridge in bridges:
            bridge.end()

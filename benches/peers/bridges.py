"""Brings up bridges side by side, pairs with each, and tells the report how to reach them.

usage: bridges.py CONBUSD PLAN

PLAN is JSON: {"house": "doors" or "bus", "bridges": {NAME: {"bus": PORT, "gateway": PORT}}}; "gateway" is where the
emulated house of that bridge is to listen, "bus" where the bridge is to dial. Prints one line of JSON: the bridges that
are there, each with its process, ports, pairing and lamps, and those that are missing, each with a reason. Ends them all
when its input ends. CONBUSD_FOREIGN_XP and CONBUSD_FOREIGN_XP_HEADLESS name the `xp` of conson-xp 2.1.15 and 1.52.0,
CONBUSD_PEERS_NODE a folder of packages with HAP-NodeJS.
"""

import asyncio
import dataclasses
import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "homekit"))

from aio import BRIGHTNESS, KIND, ON, order, short  # noqa: E402
from aiohomekit.characteristic_cache import CharacteristicCacheMemory  # noqa: E402
from aiohomekit.controller.ip.controller import IpController  # noqa: E402
from aiohomekit.controller.ip.discovery import IpDiscovery  # noqa: E402
from measure import straight  # noqa: E402
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: E402

CODE = "271-82-818"
NAME = "23"

# How long a bridge may take until it listens, and until it has made up its mind about its lamps.
LISTENS_WITHIN, SETTLED_AFTER = 60, 12

# Type, its code on the bus, outputs, whether they dim.
RELAY, DIMMER = ("XP24", 7, 4, False), ("XP33LED", 35, 3, True)


class House:
    """Modules and the lamps at their outputs."""

    def __init__(self, kinds, lamps):
        self.modules = [(f"00123450{at:02}", at, *kind) for at, kind in enumerate(kinds, 1)]
        every = [(module, output) for module in self.modules for output in range(module[4])]
        self.lamps = every[:lamps]


HOUSES = {"doors": House([DIMMER] * 50, 148), "bus": House([RELAY] * 3 + [DIMMER] * 4, 24)}


def own_address():
    """Where a bridge listens that cannot be told to stay on loopback; nothing is sent for this."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out:
        try:
            way_out.connect(("192.0.2.1", 9))
            return way_out.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def our_config(house, ports):
    text = (f'[[gateway]]\nid = "home"\naddress = "127.0.0.1:{ports["bus"]}"\n'
            f'[homekit]\nlisten = "127.0.0.1:{ports["homekit"]}"\npin = "{CODE}"\n')
    for serial, link, kind, *_ in house.modules:
        text += f'[[module]]\nserial = "{serial}"\ntype = "{kind}"\nlink = {link}\n'
    for (serial, link, _, _, _, dims), output in house.lamps:
        text += (f'[[accessory]]\nid = "m{link}o{output}"\nname = "Lamp {link} {output}"\n'
                 f'kind = "{"dimmer" if dims else "light"}"\nmodule = "{serial}"\noutput = {output}\n')
    return text


def write_conson(house, folder, ports):
    network = f'{{ ip: 127.0.0.1, port: {ports["bus"]}, timeout: 1 }}'
    (folder / "cli.yml").write_text(f"conbus: {network}\n")
    (folder / "logger.yml").write_text("log: { path: log, default_level: WARNING }\n")
    (folder / "conson.yml").write_text("".join(
        f'- {{ name: m{link}, serial_number: "{serial}", module_type: {kind}, module_type_code: {code}, '
        f'link_number: {link} }}\n' for serial, link, kind, code, *_ in house.modules))
    ids = ", ".join(f"m{module[1]}o{output}" for module, output in house.lamps)
    text = (f'homekit: {{ ip: 127.0.0.1, port: {ports["homekit"]}, pincode: "{CODE}", accessory_state_file: ./state }}\n'
            f'conson: {network}\nbridge: {{ name: Home, rooms: [{{ name: Room, accessories: [{ids}] }}] }}\n'
            "accessories:\n")
    for (serial, link, _, _, _, dims), output in house.lamps:
        # Rooms list accessories by id in one version and by name in the other.
        text += (f'  - {{ name: m{link}o{output}, id: m{link}o{output}, serial_number: "{serial}", '
                 f'output_number: {output}, description: "Lamp {link} {output}", '
                 f'service: {"dimminglight" if dims else "light"}, '
                 f'on_action: E02L{link:02}I0{output}, off_action: E02L{link:02}I1{output}'
                 + (f', dimup_action: E02L{link:02}I2{output}, dimdown_action: E02L{link:02}I3{output}' if dims else "")
                 + ' }\n')
    (folder / "homekit.yml").write_text(text)


async def program_tables(house, control):
    """Lets the modules obey the buttons that conson-xp presses."""
    for serial, link, _, _, outputs, dims in house.modules:
        actions = [(0, "ON"), (10, "OFF")] + [(20, "LEVELINC 10"), (30, "LEVELDEC 10")] * dims
        entries = [f"CP20 {link} {first + output} > {output + 1} {action}"
                   for first, action in actions for output in range(outputs)]
        await order(control, do="table", serial=serial, entries=entries)


class Bridge:
    """A program with a HomeKit port, in a folder of its own, and what it needs."""

    def __init__(self, name, house, ports):
        self.name, self.house = name, house
        self.host = own_address() if name == "conson-xp 1.52.0" else "127.0.0.1"
        self.ports = {"control": free_port(), "homekit": free_port(), **ports}
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.path = pathlib.Path(self.folder.name)
        self.started = []

    def start(self, words, **more):
        with open(self.path / "said", "ab") as said:
            more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said, **more}
            self.started.append(subprocess.Popen(words, cwd=self.path, **more))
        return self.started[-1]

    async def gateway(self, conbusd, instant):
        (self.path / "config.toml").write_text(our_config(self.house, self.ports))
        words = [conbusd, "emulator", "--listen", f'127.0.0.1:{self.ports["gateway"]}', "--control",
                 f'127.0.0.1:{self.ports["control"]}']
        self.start(words + ["--instant"] * instant)
        await listening(self.ports["control"])
        await program_tables(self.house, self.ports["control"])
        if self.house is HOUSES["bus"]:
            for serial, *_ in self.house.modules[:5]:
                await order(self.ports["control"], do="turn", serial=serial, output=0, on=True)

    def in_terminal(self, words):
        """Starts a program that wants a terminal, and reads what it paints."""
        terminal, slave = pty.openpty()

        def drain():
            try:
                while os.read(terminal, 65536):
                    pass
            except OSError:
                pass

        threading.Thread(target=drain, daemon=True).start()
        return self.start(words, stdin=slave, stdout=slave, stderr=slave,
                          env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})

    async def run(self, conbusd):
        if self.name != "HAP-NodeJS":
            await self.gateway(conbusd, self.house is HOUSES["doors"])
        if self.name == "conbusd":
            self.program = self.start([conbusd, "run"])
        elif self.name == "HAP-NodeJS":
            words = ["node", str(HERE / "lamps.js"), CODE, str(len(self.house.lamps)), str(self.ports["homekit"]),
                     str(self.ports["control"])]
            self.program = self.start(words, env={**os.environ, "NODE_PATH": wanted("CONBUSD_PEERS_NODE")})
        elif self.name == "conson-xp 2.1.15":
            write_conson(self.house, self.path, self.ports)
            self.program = self.in_terminal([wanted("CONBUSD_FOREIGN_XP"), "term", "homekit"])
        else:
            write_conson(self.house, self.path, self.ports)
            with open(self.path / "printed", "wb") as printed:
                self.program = self.start([wanted("CONBUSD_FOREIGN_XP_HEADLESS"), "homekit", "start"], stdout=printed,
                                          env={**os.environ, "PYTHONUNBUFFERED": "1"})

    async def pair(self, zeroconf):
        # A controller wants a browser to be there, although nothing is looked for.
        AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[lambda **_: None])
        found = dataclasses.replace(straight(self.ports["homekit"]), address=self.host, addresses=[self.host])
        discovery = IpDiscovery(IpController(CharacteristicCacheMemory(), zeroconf), found)
        pairing = await (await discovery.async_start_pairing("home"))(self.code())
        accessories = await pairing.list_accessories_and_characteristics()
        await pairing.close()
        return {"name": self.name, "host": self.host, "pid": self.program.pid, "ports": self.ports,
                "pairing": dict(pairing.pairing_data), "lamps": lamps(accessories)}

    def code(self):
        """The code to pair with: ours, or what a bridge that draws its own has printed."""
        printed = self.path / "printed"
        drawn = re.search(r"\d{3}-\d{2}-\d{3}", printed.read_text(errors="replace")) if printed.exists() else None
        return drawn.group() if drawn else CODE

    def said(self):
        words = (self.path / "said").read_text(errors="replace").split("\n")[-4:]
        return " ".join(words).strip()[-300:]

    def end(self):
        for program in reversed(self.started):
            program.terminate()
        for program in self.started:
            try:
                program.wait(5)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self.folder.cleanup()


def wanted(variable):
    if not os.environ.get(variable):
        raise AssertionError(f"it is not installed ({variable} is not set)")
    return os.environ[variable]


def lamps(accessories):
    """Every lamp with its place in the house, in their order."""
    found = []
    for accessory in accessories:
        own = {short(one["type"]): one for unit in accessory["services"] for one in unit["characteristics"]}
        if ON in own:
            place = [int(number) for number in re.findall(r"\d+", own[NAME]["value"] if NAME in own else "")]
            brightness = own[BRIGHTNESS]["iid"] if BRIGHTNESS in own else None
            found.append((place, {"aid": accessory["aid"], "on": own[ON]["iid"], "brightness": brightness}))
    return [lamp for _, lamp in sorted(found, key=lambda one: (one[0], one[1]["aid"]))]


async def listening(port, host="127.0.0.1"):
    until = time.monotonic() + LISTENS_WITHIN
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        except OSError:
            if time.monotonic() > until:
                raise AssertionError(f"nothing listened within {LISTENS_WITHIN} s") from None
            await asyncio.sleep(0.1)


async def bring_up(conbusd, bridges):
    there, missing = [], []
    for bridge in bridges:
        try:
            await bridge.run(conbusd)
        except (AssertionError, OSError) as error:
            missing.append({"name": bridge.name, "why": str(error)})
    lost = [one["name"] for one in missing]
    running = [bridge for bridge in bridges if bridge.name not in lost]
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        for bridge in running:
            try:
                await listening(bridge.ports["homekit"], bridge.host)
            except AssertionError as error:
                missing.append({"name": bridge.name, "why": f"{error}; it said: {bridge.said()}"})
        lost = [one["name"] for one in missing]
        await asyncio.sleep(SETTLED_AFTER)
        for bridge in (bridge for bridge in running if bridge.name not in lost):
            try:
                there.append(await asyncio.wait_for(bridge.pair(zeroconf), LISTENS_WITHIN))
            except Exception as error:  # whatever a peer's client makes of a peer
                why = f"pairing failed with {type(error).__name__} {error}; it said: {bridge.said()}"
                missing.append({"name": bridge.name, "why": why})
    print(json.dumps({"bridges": there, "missing": missing}), flush=True)


if __name__ == "__main__":
    plan = json.loads(sys.argv[2])
    bridges = [Bridge(name, HOUSES[plan["house"]], ports) for name, ports in plan["bridges"].items()]
    try:
        asyncio.run(bring_up(os.path.abspath(sys.argv[1]), bridges))
        sys.stdin.read()
    finally:
        for bridge in bridges:
            bridge.end()

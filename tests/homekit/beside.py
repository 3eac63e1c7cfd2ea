"""Measures this daemon and `xp term homekit` of conson-xp beside each other: one house, one client, one run.

usage: beside.py CONBUSD XP

Each has an emulated gateway of its own with the same 24 outputs; the client is aiohomekit, connected straight to the
port. Run it on an otherwise idle machine with a release build, and quote the ratios.
"""

import asyncio
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import time

import measure

CODE = "271-82-818"
CONSON_PORTS = {"bus": 23001, "control": 23003, "homekit": 23002}
OUR_PORTS = {"bus": 24001, "control": 24003, "homekit": 24002}


def outputs():
    for module in range(1, 8):
        for output in range(4 if module <= 3 else 3):
            yield module, output, module <= 3


def our_config(ports):
    text = (f'[[gateway]]\nid = "home"\naddress = "127.0.0.1:{ports["bus"]}"\n[homekit]\n'
            f'listen = "127.0.0.1:{ports["homekit"]}"\npin = "{CODE}"\n')
    for module in range(1, 8):
        kind = "XP24" if module <= 3 else "XP33LED"
        text += f'[[module]]\nserial = "001234500{module}"\ntype = "{kind}"\nlink = {module}\n'
    for module, output, relay in outputs():
        text += (f'[[accessory]]\nid = "m{module}o{output}"\nname = "Lamp {module} {output}"\n'
                 f'kind = "{"light" if relay else "dimmer"}"\nmodule = "001234500{module}"\noutput = {output}\n')
    return text


def write_conson(folder, ports):
    network = f'{{ ip: 127.0.0.1, port: {ports["bus"]}, timeout: 1 }}'
    (folder / "cli.yml").write_text(f"conbus: {network}\n")
    (folder / "logger.yml").write_text("log: { path: log }\n")
    modules = [f'- {{ name: m{n}, serial_number: "001234500{n}", module_type: {"XP24" if n <= 3 else "XP33LED"}, '
               f'module_type_code: {7 if n <= 3 else 35}, link_number: {n} }}' for n in range(1, 8)]
    (folder / "conson.yml").write_text("\n".join(modules) + "\n")
    ids = [f"m{module}o{output}" for module, output, _ in outputs()]
    lamps = [f'  - {{ name: "Lamp {module} {output}", id: m{module}o{output}, serial_number: "001234500{module}", '
             f'output_number: {output}, description: lamp, service: {"light" if relay else "dimminglight"}, '
             f'on_action: E02L0{module}I0{output}, off_action: E02L0{module}I1{output} }}'
             for module, output, relay in outputs()]
    (folder / "homekit.yml").write_text(
        f'homekit: {{ ip: 127.0.0.1, port: {ports["homekit"]}, pincode: "{CODE}", accessory_state_file: ./state }}\n'
        f'conson: {network}\nbridge: {{ name: Home, rooms: [{{ name: Room, accessories: [{", ".join(ids)}] }}] }}\n'
        "accessories:\n" + "\n".join(lamps) + "\n")


def gateway(conbusd, folder, ports):
    (folder / "config.toml").write_text(our_config(ports))
    return subprocess.Popen([conbusd, "emulator", "--instant", "--listen", f'127.0.0.1:{ports["bus"]}', "--control",
                             f'127.0.0.1:{ports["control"]}'], cwd=folder, stderr=subprocess.DEVNULL)


def drain(terminal):
    """A terminal program stalls when nobody reads its screen."""
    def read():
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:
            pass
    import threading
    threading.Thread(target=read, daemon=True).start()


def main(conbusd, xp):
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        ours, theirs = pathlib.Path(ours), pathlib.Path(theirs)
        started = [gateway(conbusd, ours, OUR_PORTS), gateway(conbusd, theirs, CONSON_PORTS)]
        write_conson(theirs, CONSON_PORTS)
        time.sleep(1)
        terminal, slave = pty.openpty()
        peer = subprocess.Popen([xp, "term", "homekit"], cwd=theirs, stdin=slave, stdout=slave, stderr=slave,
                                env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
        drain(terminal)
        own = subprocess.Popen([conbusd, "run"], cwd=ours, stderr=subprocess.DEVNULL)
        started += [peer, own]
        time.sleep(12)
        try:
            for name, process, ports in [("conbusd", own, OUR_PORTS), ("conson-xp", peer, CONSON_PORTS)]:
                print(f"--- {name}", flush=True)
                asyncio.run(measure.reads(ports["homekit"], CODE, ports["control"], process.pid))
        finally:
            for process in reversed(started):
                process.terminate()


if __name__ == "__main__":
    main(*map(os.path.abspath, sys.argv[1:3]))

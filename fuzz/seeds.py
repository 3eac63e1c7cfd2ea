#!/usr/bin/env python3
"""Writes fuzz/seeds: for each target some inputs that lead a fuzzer past the first checks. What a fuzzer found is kept
beside them as `found-*` and is not touched. Run it from anywhere; it needs nothing but Python."""

import pathlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def frame(payload: str, right: bool = True) -> bytes:
    """A telegram with its two checksum letters (protocol reference 1.2)."""
    raw = payload.encode("latin-1")
    total = 0
    for byte in raw:
        total ^= byte
    if not right:
        total ^= 1
    return b"<" + raw + bytes([65 + (total >> 4), 65 + (total & 15)]) + b">"


EVENTS = ["E07L06I80M", "E07L06I80B", "E14L00I02M", "E33L02I90M", "O01L06I10M", "E7L06I80M", "E30L99I72B"]
SYSTEM = [
    "S0000000000F01D00", "S0012345008F02D12", "S0012345008F27D00AB", "S0012345008F27D03AA",
    "S0012345012F04D1502:050", "S0012345004F04D21PP", "S0012345008F05D00", "S0012345008F13D00",
    "S0012345008F18D", "S0012345008F02D10",
]
REPLIES = [
    "R0012345008F01D", "R0012345008F18D", "R0012345008F19D", "R0012345008F02D12xxxx1110",
    "R0012345012F02D1500:050[%],01:000[%],02:100[%]", "R0020012521F02D18+26,0\xa7C", "R0020012521F02D18--,-\xa7C",
    "R0012345008F02D02XP24_V0.34.03", "R0012345008F02D0407", "R0012345008F02D0908", "R0012345008F02D10AA",
    "R0012345008F02D1700:00000[NA],01:00000[NA]", "R0012345008F02D99\xe9\xff", "R0012345008F17D00AAAAAAAA",
]
TELEGRAMS = EVENTS + SYSTEM + REPLIES


def telegram():
    return [text.encode("latin-1") for text in TELEGRAMS]


def streams():
    every = [frame(text) for text in TELEGRAMS]
    yield b"".join(every[:8])
    yield b"\r\n".join(every[8:16])
    yield b"<E07<" + every[0][1:] + b" x y\n" + every[7]
    yield frame("E07L06I80M", right=False) + frame("R0012345008F18D")
    yield b"<><S><AB>" + every[20]
    yield b"<" + b"A" * 200 + every[1]
    yield b"noise " * 40 + every[9]
    yield every[18] + b"\x00\xff>>><" + every[19][:-3]
    for one in every[16:]:
        yield one


def splitter():
    for at, stream in enumerate(streams()):
        cuts = [b"", b"\x01", b"\x05", b"\x01\x0d\x02", b"\x14"][at % 5]
        yield bytes([len(cuts)]) + cuts + stream


def config():
    small = '[[gateway]]\nid = "home"\naddress = "192.0.2.1:10001"\n[[module]]\nserial = "0012345004"\ntype = "XP24"\nlink = 4\n'
    lamp = '[[accessory]]\nid = "a"\nname = "A"\nkind = "light"\nmodule = "0012345004"\noutput = 1\n'
    yield small + lamp
    yield small + lamp + lamp
    yield small + lamp.replace("light", "ligth").replace("output = 1", "output = 9")
    yield small.replace("= 4", "= 400") + '[http]\nlisten = "0.0.0.0:80"\n'
    yield "[htp]\nlisten = 5\n[cache]\nttl = 30\n"
    yield '\ufeff[log]\nfilter = "é=trace"\r\n[cache]\r\nttl = "30 parsecs"\r\n'
    yield 'a = """\nopen\n'
    yield '[mqtt]\nurl = "mqtt://user:word@broker.example:1883"\n[homekit]\npin = "123-45-678"\n[mux]\nlisten = "127.0.0.1:10002"\n'
    yield '[[gateway]]\nid = ""\naddress = ""\n' * 3
    group = '[[group]]\nid = "g"\nname = "G"\nroom = "R"\nmembers = ["a"]\n'
    scene = '[[scene]]\nid = "s"\nname = "S"\ntargets = [{ accessory = "a", on = false }]\n'
    press = '[[scene]]\nid = "p"\nname = "P"\nevent = "E33L02I07"\ngateway = "home"\n'
    yield small + lamp + group + scene + press
    yield small + lamp + group.replace('"a"', '"a", "a", "b"') + scene.replace("on = false", "brightness = 200") + press + press
    text = (ROOT / "config.toml").read_text()
    yield text[:3500]
    yield "\n".join(line.lstrip("# ") if "=" in line or line.startswith("# [") else line for line in text.splitlines())[:4000]


def item(kind, value):
    out = b""
    pieces = [value[at:at + 255] for at in range(0, len(value), 255)] or [b""]
    for piece in pieces:
        out += bytes([kind, len(piece)]) + piece
    return out


def pairing():
    state = lambda step: item(6, bytes([step]))
    phone = item(1, b"phone")
    yield state(1) + item(0, b"\0")
    yield state(1) + item(3, bytes(range(32)))
    yield state(1) + item(3, bytes(range(32))) + b"\xff" + state(3) + item(5, bytes(120))
    yield state(3) + item(3, bytes(384)) + item(4, bytes(64))
    yield state(5) + item(5, bytes(range(154)))
    yield state(1) + item(0, b"\3") + item(1, b"guest2") + item(3, bytes(32)) + item(11, b"\0")
    yield state(1) + item(0, b"\3") + phone + item(3, bytes(32)) + item(11, b"\1")
    yield state(1) + item(0, b"\4") + phone
    yield state(1) + item(0, b"\4") + item(1, b"guest")
    yield state(1) + item(0, b"\5")


def tlv():
    yield from pairing()
    yield item(5, bytes(600)) + item(255, b"") + item(5, b"x")
    yield item(5, bytes(255)) + item(5, b"")
    yield item(9, bytes(510)) + b"\x09\x04ab"


def http():
    host = "Host: b\r\n"
    body = '{"characteristics":[{"aid":2,"iid":17,"value":true}]}'
    put = f"PUT /characteristics HTTP/1.1\r\n{host}Content-Type: application/hap+json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    get = f"GET /characteristics?id=2.17,3.18&meta=1&ev=1 HTTP/1.1\r\n{host}\r\n"
    post = f"POST /pair-verify HTTP/1.1\r\n{host}Content-Length: 3\r\n\r\n\6\1\1"
    streams = [
        put, get, post, put + get + post, get + put[:-5], "DELETE / HTTP/1.0\r\n\r\n",
        f"POST /pairings HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"POST /pairings HTTP/1.1\r\nContent-Length: 4\r\ncontent-length: 5\r\n\r\n",
        f"POST /pairings HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", "GET /" + "a" * 900, "X: y\r\n" * 40,
        "\x16\x03\x01\x02", "\r\n\r\n" + get, "GET /accessories HTTP/1.1\r\n" + "X: y\r\n" * 34 + "\r\n",
    ]
    for at, stream in enumerate(streams):
        cuts = [b"", b"\x01", b"\x10\x03", b"\x40\x01\x02"][at % 4]
        yield bytes([len(cuts)]) + cuts + stream.encode("latin-1")


def record():
    for at, (length, cuts) in enumerate([(0, b""), (1, b"\x01"), (12, b"\x05"), (1024, b"\xff"), (1025, b"\x11"), (2500, b"\xc8\x03")]):
        yield bytes([at * 40, at, len(cuts)]) + cuts + bytes(at + one % 200 for one in range(length))
    yield b"\x80\x03\x01\xff" + b"\x00\x04" + bytes(1040)
    yield b"\x80\x03\x00" + b"\x01\x04" + bytes(64)
    yield b"\x10\x07\x02\x02\x03" + b"\x00\x00" + bytes(16)


def writes():
    yield '{"characteristics":[{"aid":2,"iid":17,"value":true}]}'
    yield '{"characteristics":[{"aid":3,"iid":18,"value":40},{"aid":3,"iid":17,"value":1,"r":true},{"aid":2,"iid":17,"ev":true}]}'
    yield '{"characteristics":[{"aid":1,"iid":2,"value":true},{"aid":4,"iid":34,"value":true},{"aid":9,"iid":9}],"pid":11}'
    yield '{"characteristics":[{"aid":3,"iid":18,"value":1e2,"ev":0},{"aid":3,"iid":18,"value":-1},{"aid":2,"iid":17,"value":null}]}'
    yield '{"ttl":10000,"pid":11}'
    yield '{"ttl":18446744073709551615,"pid":18446744073709551615}'
    yield '{"ttl":5000,"pid":11,"characteristics":[{"aid":2,"iid":17,"value":false}]}'
    yield "id=2.17,3.17,3.18,1.2,77.1&meta=1&perms=1&type=1&ev=1"
    yield "id=4.33%2C2.17"
    yield "id=18446744073709551615.18446744073709551615"
    yield "[" * 200
    yield "{}"


def bodies():
    yield '{"on":true}'
    yield '{"on":false,"brightness":40}'
    yield '{"brightness":100.0}'
    yield '{"brightness":-0.0}'
    yield '{"brightness":1e400}'
    yield '{"on":true,"on":false}'
    yield '{"a\\u0000":1}'
    yield "[" * 200
    yield '"text"'
    yield ""
    yield "max_age_ms=0&telegrams=1"
    yield "max_age_ms=18446744073709551615"
    yield "max_age_ms=1&max_age_ms=2"
    yield "telegrams=yes&" + "é" * 100
    yield '{"' + "x" * 100 + '":[{"y":null}]}'
    yield "limit=1000&accessory=hall"
    yield "limit=0"
    yield "accessory=&limit=18446744073709551616"
    yield "limit=+5&limit=5"
    yield "accessory=a&accessory=b&max_age_ms=1"


def foreign():
    relay = (
        "- name: A4\n  serial_number: 0012345004\n  module_type: XP24\n  module_type_code: 7\n  link_number: 4\n"
        "  auto_report_status: PP\n  action_table:\n  - CP20 4 0 > 1 ON;\n  - CP20 4 1 > 1 OFF;\n"
    )
    dimmer = "- name: A5\n  serial_number: '0012345005'\n  module_type: XP33LED\n  module_type_code: 35\n  link_number: 05\n"
    bridge = "- name: B\n  serial_number: 0012345099\n  module_type: XP230\n  module_type_code: 34\n  link_number: 99\n"
    lamps = (
        "conson:\n  ip: 192.0.2.7\n  port: 10001\nhomekit:\n  ip: 127.0.0.1\n  port: 51826\n  pincode: 271-82-818\n"
        "bridge:\n  name: House\n  rooms:\n  - name: Salon\n    accessories: [A, B]\naccessories:\n"
        "- name: A\n  id: X\n  serial_number: 0012345004\n  output_number: 1\n  description: Lamp\n  service: light\n"
        "  on_action: E20L04I00\n  off_action: E20L04I01\n"
        "- name: B\n  serial_number: 0012345005\n  output_number: 0\n  service: lightbulb\n"
    )
    yield relay + dimmer + bridge
    yield relay + dimmer + bridge + "\0" + lamps
    yield "conbus:\n  ip: 192.0.2.9\n  port: 10001\ndevices:\n  '0012345004': XP24\n  '0012345005': XP33\n"
    yield "root:\n" + relay.replace("- name", "- &a\n  name") + "- *a\n"
    yield "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    yield "[" * 40
    yield "modules: {a: b}\n\0- é: \"\\u0007\"\n"
    yield "log:\n  level: DEBUG\n"


def state():
    yield '{"format":"conbusd-state","version":1,"checksum":"00000000","state":{"saved_unix_ms":1,"outputs":[],"used":[]}}'
    yield '{"format":"conbusd-state","version":2}'
    yield '{"format":"conbusd-state","version":1,"state":{"outputs":[{"module":"0012345004","output":1,"on":true,"on_age_ms":5}]}}'
    yield "conbusd-homekit-1 00\n{}\n"
    yield "conbusd-homekit-1"


def broker():
    for payload in ["ON", "OFF", '{"state":"ON","brightness":40}', '{"brightness":0}', '{"state":null}', "{", "[[1]]", ""]:
        yield "conbus/home/0012345004/output/2/set\0" + payload
    for topic in ["conbus/bridge/attic/request/refresh", "conbus/bridge/attic/ensemble/all/set", "homeassistant/status"]:
        yield topic + "\0online"


TARGETS = {
    "splitter": splitter, "telegram": telegram, "decode": streams, "config": config, "import": foreign, "state": state, "tlv": tlv,
    "homekit_http": http, "record": record, "homekit_writes": writes, "homekit_pairing": pairing, "http_json": bodies,
    "mqtt": broker,
}

for name, seeds in TARGETS.items():
    folder = HERE / "seeds" / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("seed-*"):
        old.unlink()
    for at, seed in enumerate(seeds()):
        raw = seed if isinstance(seed, bytes) else seed.encode()
        (folder / f"seed-{at:02}").write_bytes(raw)

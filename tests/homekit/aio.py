"""Drives the bridge with aiohomekit, the controller of Home Assistant: pairing to unpairing, everything in between.

usage: aio.py PORT PIN CONTROL_PORT

Ends with 0 and the line "ok" when everything was as it should be. CONTROL_PORT is that of the emulated house.
"""

import asyncio
import json
import sys
import time

from aiohomekit import exceptions
from aiohomekit.characteristic_cache import CharacteristicCacheMemory
from aiohomekit.controller.ip.controller import IpController
from aiohomekit.controller.ip.discovery import IpDiscovery
from aiohomekit.controller.ip.pairing import IpPairing
from aiohomekit.model.categories import Categories
from aiohomekit.model.status_flags import StatusFlags
from aiohomekit.zeroconf import HomeKitService
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

KIND = "_hap._tcp.local."
ON, BRIGHTNESS, IDENTIFY, NAME = "25", "8", "14", "23"
# What is no output but several of them.
TOGETHER = {"Both", "Half"}


async def find(zeroconf, port, known, within=15):
    """The announcement of the bridge on this port, once `known` likes it."""
    for _ in range(within * 10):
        for name in list(zeroconf.zeroconf.cache.names()):
            if not name.endswith(KIND) or name == KIND:
                continue
            record = AsyncServiceInfo(KIND, name)
            if record.load_from_cache(zeroconf.zeroconf) and record.port == port:
                description = HomeKitService.from_service_info(record)
                if known(description):
                    return description
        await asyncio.sleep(0.1)
    raise AssertionError("the bridge was not announced so")


def short(kind):
    return kind.split("-")[0].lstrip("0")


def owned(accessory):
    """kind of characteristic -> characteristic"""
    return {short(own["type"]): own for unit in accessory["services"] for own in unit["characteristics"]}


def lamps(accessories):
    """aid -> {kind of characteristic: iid}, without the bridge, groups and scenes."""
    found = {}
    for accessory in accessories:
        own = owned(accessory)
        if accessory["aid"] != 1 and own[NAME]["value"] not in TOGETHER:
            found[accessory["aid"]] = {kind: one["iid"] for kind, one in own.items()}
    return found


def switch(accessories, name):
    """The aid and iid of the switch of the accessory with this name."""
    accessory = next(one for one in accessories if owned(one)[NAME]["value"] == name)
    return accessory["aid"], owned(accessory)[ON]["iid"]


async def order(port, **order):
    """Tells the emulated house to do something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(json.dumps(order).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    assert answer["ok"], answer
    return answer


async def telegrams(control, begins):
    """How many telegrams of this kind the house got."""
    received = (await order(control, do="counters"))["counters"]["received"]
    return sum(count for telegram, count in received.items() if telegram.lstrip("<").startswith(begins))


async def levels(control, serial):
    """What a module really shows."""
    modules = (await order(control, do="state"))["modules"]
    return next(one["levels"] for one in modules if one["serial"] == serial)


async def refuses(coroutine, *kinds):
    try:
        await coroutine
    except kinds:
        return
    raise AssertionError(f"none of {kinds} was raised")


async def until(condition, within=10.0):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.005)


async def use(pairing, control):
    """Lists, reads, writes, subscribes, hears an event from the bus, writes 60 entries at once, identifies."""
    accessories = await pairing.list_accessories_and_characteristics()
    found = lamps(accessories)
    assert len(found) == 24, len(found)
    for accessory in accessories:
        assert short(accessory["services"][0]["type"]) == "3E", accessory
    ons = {aid: own[ON] for aid, own in found.items()}
    values = await pairing.get_characteristics([(aid, iid) for aid, iid in ons.items()])
    assert all(isinstance(value["value"], bool) for value in values.values()), values

    relay = next(aid for aid, own in sorted(found.items()) if BRIGHTNESS not in own)
    dimmer = next(aid for aid, own in sorted(found.items()) if BRIGHTNESS in own)
    # Listeners of aiohomekit also hear their own writes; what comes over the wire passes here.
    heard, pass_on = {}, pairing.event_received

    def event_received(event):
        heard.update({(one["aid"], one["iid"]): one for one in event["characteristics"]})
        pass_on(event)

    pairing.event_received = event_received
    await pairing.subscribe([(relay, ons[relay]), (dimmer, ons[dimmer])])
    assert await pairing.put_characteristics([(relay, ons[relay], True)]) == {}
    assert (await pairing.get_characteristics([(relay, ons[relay])]))[relay, ons[relay]]["value"] is True
    # Only what is lit can be switched off.
    lit = False
    while not lit:
        lit = (await levels(control, "0012345001"))[0] == 100
        await asyncio.sleep(0.6)
    assert (relay, ons[relay]) not in heard, "the writer was told its own write"

    await order(control, do="turn", serial="0012345001", output=0, on=False)
    await until(lambda: heard.get((relay, ons[relay]), {}).get("value") is False)

    level = found[dimmer][BRIGHTNESS]
    await pairing.put_characteristics([(dimmer, ons[dimmer], True), (dimmer, level, 40)])
    assert (await pairing.get_characteristics([(dimmer, level)]))[dimmer, level]["value"] == 40

    # A finger on a slider: the last value counts, the bus carries few of them, and nobody is told what he said.
    heard.clear()
    begun, since = await telegrams(control, "S0012345004F04D15"), time.monotonic()
    for value in range(41, 81):
        await pairing.put_characteristics([(dimmer, level, value)])
    moved = time.monotonic() - since
    await asyncio.sleep(6)
    assert (await levels(control, "0012345004"))[0] == 80, "the slider did not end where the finger did"
    # One at a time, 20 ms behind an answer that takes 50: what a slow machine moves slowly may be said more often.
    said, bound = await telegrams(control, "S0012345004F04D15") - begun, 6 + moved / 0.07
    assert 1 <= said <= bound, f"the slider flooded the bus: {said} telegrams while it moved for {moved:.2f} s"
    assert heard == {}, heard

    many = [(aid, iid, turn % 2 == 0) for turn, aid in enumerate(found) for iid in [ons[aid]]]
    many += [(aid, own[BRIGHTNESS], 30 + aid) for aid, own in found.items() if BRIGHTNESS in own]
    many += [(aid, own[IDENTIFY], True) for aid, own in list(found.items())[: 60 - len(many)]]
    started = time.monotonic()
    failed = await pairing.put_characteristics(many)
    assert failed == {} and len(many) == 60, (failed, len(many))
    assert time.monotonic() - started < 1.0, "a scene waited for the bus"
    missing = await pairing.get_characteristics([(relay, 999), (relay, ons[relay])])
    assert missing[relay, 999]["status"] == -70409 and missing[relay, ons[relay]]["value"] is not None, missing
    await pairing.identify()
    # The bus catches up behind the scene.
    await asyncio.sleep(6)
    assert await telegrams(control, "S0012345001F05D") > 0, "no module blinked"


async def together(pairing, control):
    """A group is a lamp that is its members, a scene a switch that falls back."""
    accessories = await pairing.list_accessories_and_characteristics()
    both, half = switch(accessories, "Both"), switch(accessories, "Half")
    # What each of them is told to be, the last of it last.
    heard, pass_on = {both: [], half: []}, pairing.event_received

    def event_received(event):
        for one in event["characteristics"]:
            heard.get((one["aid"], one["iid"]), []).append(one.get("value"))
        pass_on(event)

    pairing.event_received = event_received
    await pairing.subscribe([both, half])

    async def is_in_the_house(first, second):
        end = time.monotonic() + 10
        while (await levels(control, "0012345002"))[:2] != [first, second]:
            assert time.monotonic() < end, await levels(control, "0012345002")
            await asyncio.sleep(0.1)

    async def shows(on):
        end = time.monotonic() + 10
        while (await pairing.get_characteristics([both]))[both]["value"] is not on:
            assert time.monotonic() < end, "the group does not show what its members are"
            await asyncio.sleep(0.1)

    for on in (False, True):
        assert await pairing.put_characteristics([(*both, on)]) == {}
        assert (await pairing.get_characteristics([both]))[both]["value"] is on
        await is_in_the_house(100 * on, 100 * on)
    heard[both].clear()
    assert await pairing.put_characteristics([(*half, True)]) == {}
    await is_in_the_house(0, 100)
    await shows(True)
    await until(lambda: heard[half][-1:] == [False], 10)
    assert False not in heard[both], "one of its lamps is on"
    await order(control, do="turn", serial="0012345002", output=1, on=False)
    await until(lambda: heard[both][-1:] == [False], 10)
    await shows(False)
    pairing.event_received = pass_on
    await pairing.unsubscribe([both, half])


async def second(controller, pairing, discovery):
    """A second controller is added, used, and removed; the removed one is out at once."""
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives import serialization as form

    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(form.Encoding.Raw, form.PrivateFormat.Raw, form.NoEncryption()).hex()
    public = key.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw).hex()
    name = "11111111-2222-3333-4444-555555555555"
    await pairing.add_pairing(name, public, "User")
    listed = await pairing.list_pairings()
    assert sorted(one["permissions"] for one in listed) == [0, 1], listed
    guest = IpPairing(controller, {**pairing.pairing_data, "iOSPairingId": name, "iOSDeviceLTSK": secret,
                                   "iOSDeviceLTPK": public})
    await guest.list_accessories_and_characteristics()
    await refuses(guest.list_pairings(), exceptions.HomeKitException)
    await pairing.remove_pairing(name)
    await until(lambda: not guest.is_connected)
    await refuses(guest.get_characteristics([(1, 3)]), exceptions.HomeKitException)
    await refuses(guest.close(), exceptions.HomeKitException)
    # Somebody who was never paired cannot pair while there is an admin.
    await refuses(discovery.async_start_pairing("other"), exceptions.HomeKitException)


async def main(port, pin, control):
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        browser = AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[lambda **_: None])
        controller = IpController(CharacteristicCacheMemory(), zeroconf)
        description = await find(zeroconf, port, lambda found: found.status_flags == StatusFlags.UNPAIRED)
        assert description.category == Categories.BRIDGE and description.protocol_version == "1.1", description
        for turn in range(2):
            discovery = IpDiscovery(controller, description)
            if turn == 0:
                await discovery.async_identify()
                finish = await discovery.async_start_pairing("home")
                await refuses(finish("999-99-998"), exceptions.AuthenticationError)
            finish = await discovery.async_start_pairing("home")
            pairing = await finish(pin)
            await find(zeroconf, port, lambda found: found.status_flags == StatusFlags(0))
            await use(pairing, control)
            await together(pairing, control)
            await second(controller, pairing, IpDiscovery(controller, description))
            await pairing.remove_pairing(pairing.pairing_data["iOSPairingId"])
            await pairing.close()
            description = await find(zeroconf, port, lambda found: found.status_flags == StatusFlags.UNPAIRED)
        await browser.async_cancel()
    print("ok")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

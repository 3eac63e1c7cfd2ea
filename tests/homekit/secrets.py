"""Pairs, opens a session, reads, writes, and stays paired: then tells every secret that it and the bridge share.

usage: secrets.py PORT PIN

Prints one line of JSON: a list of keys as hex.
"""

import asyncio
import json
import sys

from aiohomekit.characteristic_cache import CharacteristicCacheMemory
from aiohomekit.controller.ip.controller import IpController
from aiohomekit.controller.ip.discovery import IpDiscovery
from aiohomekit.model.status_flags import StatusFlags
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from aio import KIND, find, lamps


async def main(port, pin):
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
        browser = AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[lambda **_: None])
        controller = IpController(CharacteristicCacheMemory(), zeroconf)
        description = await find(zeroconf, port, lambda found: found.status_flags == StatusFlags.UNPAIRED)
        finish = await IpDiscovery(controller, description).async_start_pairing("home")
        pairing = await finish(pin)
        found = lamps(await pairing.list_accessories_and_characteristics())
        ons = [(aid, own["25"]) for aid, own in found.items()]
        await pairing.subscribe(ons)
        await pairing.get_characteristics(ons)
        await pairing.put_characteristics([(aid, iid, True) for aid, iid in ons])
        protocol = pairing.connection.protocol
        keys = [protocol.a2c_key.hex(), protocol.c2a_key.hex(), pairing.pairing_data["iOSDeviceLTSK"]]
        await asyncio.sleep(2)
        await pairing.close()
        await browser.async_cancel()
    print(json.dumps(keys))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

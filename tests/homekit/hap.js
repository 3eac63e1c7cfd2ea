// Drives the bridge with hap-controller, an implementation that shares no code with ours or with aiohomekit.
//
// usage: node hap.js PORT PIN CONTROL_PORT      (NODE_PATH leads to hap-controller)
//
// Ends with 0 and the line "ok" when everything was as it should be. CONTROL_PORT is that of the emulated house.
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const net = require("node:net");
const { HttpClient } = require("hap-controller");

const [port, pin, control] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const DEVICE = "00:00:00:00:00:00";
const PERSISTENT = { usePersistentConnections: true, subscriptionsUseSameConnection: true };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const short = (kind) => kind.split("-")[0].replace(/^0+/, "");

/** Tells the emulated house to do something. */
function order(what) {
  return new Promise((done, failed) => {
    const socket = net.connect(control, "127.0.0.1", () => socket.write(JSON.stringify(what) + "\n"));
    let text = "";
    socket.on("error", failed);
    socket.on("data", (bytes) => {
      text += bytes;
      if (text.endsWith("\n")) {
        socket.destroy();
        const answer = JSON.parse(text);
        answer.ok ? done(answer) : failed(new Error(text));
      }
    });
  });
}

/** aid -> {kind of characteristic: "aid.iid"}, without the bridge. */
function lamps(list) {
  const found = new Map();
  for (const accessory of list.accessories.filter((one) => Number(one.aid) !== 1)) {
    const own = {};
    for (const characteristic of accessory.services.flatMap((unit) => unit.characteristics)) {
      own[short(characteristic.type)] = `${accessory.aid}.${characteristic.iid}`;
    }
    found.set(Number(accessory.aid), own);
  }
  return found;
}

async function read(client, id) {
  const answer = await client.getCharacteristics([id], { meta: true, perms: true, type: true, ev: true });
  return answer.characteristics[0];
}

async function until(condition, within = 10000) {
  for (const end = Date.now() + within; !condition(); await sleep(5)) {
    assert(Date.now() < end, "it did not come");
  }
}

async function use(client) {
  const found = lamps(await client.getAccessories());
  assert.strictEqual(found.size, 24);
  const ids = [...found.keys()].sort((one, other) => one - other);
  const relay = found.get(ids.find((aid) => !found.get(aid)["8"]));
  const dimmer = found.get(ids.find((aid) => found.get(aid)["8"]));

  const first = await read(client, relay["25"]);
  assert.strictEqual(typeof first.value, "boolean");
  assert.deepStrictEqual([first.format, first.perms, first.ev], ["bool", ["pr", "pw", "ev"], false]);

  const heard = new Map();
  client.on("event", (event) => {
    for (const one of event.characteristics) heard.set(`${one.aid}.${one.iid}`, one.value);
  });
  await client.subscribeCharacteristics([relay["25"], dimmer["25"]]);
  await client.setCharacteristics({ [relay["25"]]: true });
  assert.strictEqual((await read(client, relay["25"])).value, true);
  // Only what is lit can be switched off.
  for (let lit = false; !lit; await sleep(600)) {
    const { modules } = await order({ do: "state" });
    lit = modules.find((one) => one.serial === "0012345001").levels[0] === 100;
  }
  assert(!heard.has(relay["25"]), "the writer was told its own write");
  await order({ do: "turn", serial: "0012345001", output: 0, on: false });
  await until(() => heard.get(relay["25"]) === false);

  await client.setCharacteristics({ [dimmer["25"]]: true, [dimmer["8"]]: 40 });
  assert.strictEqual((await read(client, dimmer["8"])).value, 40);

  const many = {};
  for (const [place, own] of [...found.values()].entries()) {
    many[own["25"]] = place % 2 === 0;
    if (own["8"]) many[own["8"]] = 30 + place;
  }
  for (const own of found.values()) {
    if (Object.keys(many).length < 60) many[own["14"]] = true;
  }
  assert.strictEqual(Object.keys(many).length, 60);
  const started = Date.now();
  await client.setCharacteristics(many);
  assert(Date.now() - started < 1000, "a scene waited for the bus");
  // The bus catches up behind the scene.
  await sleep(6000);
  const { counters } = await order({ do: "counters" });
  assert(Object.keys(counters.received).some((telegram) => telegram.includes("F05D")), "no module blinked");
  await client.unsubscribeCharacteristics();
}

/** A second controller is added, used, and removed; the removed one is out. */
async function second(client) {
  const keys = crypto.generateKeyPairSync("ed25519");
  const raw = (key, type) => key.export({ format: "der", type }).subarray(-32);
  const [open, seed] = [raw(keys.publicKey, "spki"), raw(keys.privateKey, "pkcs8")];
  const name = "11111111-2222-3333-4444-555555555555";
  await client.addPairing(name, open, false);
  const guest = new HttpClient(DEVICE, "127.0.0.1", port, {
    ...client.getLongTermData(),
    iOSDevicePairingID: Buffer.from(name).toString("hex"),
    iOSDeviceLTSK: Buffer.concat([seed, open]).toString("hex"),
    iOSDeviceLTPK: open.toString("hex"),
  });
  assert.strictEqual((await guest.getAccessories()).accessories.length, 25);
  await assert.rejects(guest.listPairings());
  await client.removePairing(Buffer.from(name));
  await assert.rejects(guest.getAccessories());
  await assert.rejects(new HttpClient(DEVICE, "127.0.0.1", port).pairSetup(pin));
}

async function main() {
  for (let turn = 0; turn < 2; turn++) {
    const client = new HttpClient(DEVICE, "127.0.0.1", port, undefined, PERSISTENT);
    if (turn === 0) {
      await client.identify();
      await assert.rejects(new HttpClient(DEVICE, "127.0.0.1", port).pairSetup("999-99-998"));
    }
    await client.pairSetup(pin);
    await use(client);
    await second(client);
    // A removal closes this controller's connection, which it would then use again.
    await client.close();
    await client.removePairing(client.pairingProtocol.iOSDevicePairingID);
    await client.close();
  }
  console.log("ok");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

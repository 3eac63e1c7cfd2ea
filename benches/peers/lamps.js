// A bridge of trivial lamps on HAP-NodeJS, for the report: node lamps.js PIN COUNT PORT CONTROL
// A line on the control port is a hand at the first lamp: {"on": true}
'use strict';

const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const readline = require('readline');
const { Accessory, Bridge, Categories, Characteristic, HAPStorage, Service, uuid } = require('hap-nodejs');

const [pin, count, port, control] = process.argv.slice(2);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lamps-'));
HAPStorage.setCustomStoragePath(folder);

const bridge = new Bridge('Lamps', uuid.generate('lamps'));
const bulbs = [];
for (let lamp = 0; lamp < Number(count); lamp++) {
  const accessory = new Accessory(`Lamp ${lamp}`, uuid.generate(`lamp ${lamp}`));
  const bulb = accessory.addService(Service.Lightbulb, `Lamp ${lamp}`);
  let on = false;
  bulb.getCharacteristic(Characteristic.On).onGet(() => on);
  bulb.getCharacteristic(Characteristic.Brightness).onGet(() => 100);
  bulbs.push((now) => {
    on = now;
    bulb.updateCharacteristic(Characteristic.On, now);
  });
  bridge.addBridgedAccessory(accessory);
}
bridge.publish({ username: '1A:2B:3C:4D:5E:6F', pincode: pin, port: Number(port), category: Categories.BRIDGE, bind: 'lo' });

net.createServer((hand) => {
  hand.setNoDelay(true);
  hand.on('error', () => {});
  readline.createInterface({ input: hand }).on('line', (line) => {
    bulbs[0](JSON.parse(line).on);
    hand.write('{"ok":true}\n');
  });
}).listen(Number(control), '127.0.0.1');

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    fs.rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
}

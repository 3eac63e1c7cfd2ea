// A bridge of trivial lamps on HAP-NodeJS, for the report: node lamps.js PORT PIN COUNT
'use strict';

const os = require('os');
const path = require('path');
const fs = require('fs');
const { Accessory, Bridge, Categories, Characteristic, HAPStorage, Service, uuid } = require('hap-nodejs');

const [port, pin, count] = process.argv.slice(2);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lamps-'));
HAPStorage.setCustomStoragePath(folder);

const bridge = new Bridge('Lamps', uuid.generate('lamps'));
for (let lamp = 0; lamp < Number(count); lamp++) {
  const accessory = new Accessory(`Lamp ${lamp}`, uuid.generate(`lamp ${lamp}`));
  const bulb = accessory.addService(Service.Lightbulb, `Lamp ${lamp}`);
  bulb.getCharacteristic(Characteristic.On).onGet(() => false);
  bulb.getCharacteristic(Characteristic.Brightness).onGet(() => 100);
  bridge.addBridgedAccessory(accessory);
}
bridge.publish({ username: '1A:2B:3C:4D:5E:6F', pincode: pin, port: Number(port), category: Categories.BRIDGE, bind: 'lo' });
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    fs.rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
}

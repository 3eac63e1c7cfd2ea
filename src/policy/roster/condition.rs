//! How the modules are: what is asked of them again and again, and what is exported of it.

use super::super::figures::{Sheet, names};
use super::Roster;
use crate::conbus::{Datapoint, SerialNumber};
use crate::policy::GatewayId;

impl Roster {
    /// The modules of this gateway are to be asked how they are: each for its fault code, those that drive loads for
    /// their temperature where there is a sensor.
    pub fn diagnose(&mut self, gateway: GatewayId) {
        let modules = self.places.behind(gateway).iter().filter_map(|serial| self.modules.get(serial));
        let asked: Vec<(SerialNumber, bool)> = modules
            .map(|module| (module.plan.serial, module.plan.actor && !module.connection.no_sensor))
            .collect();
        for (serial, is_warm) in asked {
            if !self.refuses(serial, Datapoint::ERROR_CODE) {
                self.enqueue(serial, Datapoint::ERROR_CODE);
            }
            if is_warm && !self.refuses(serial, Datapoint::TEMPERATURE) {
                self.enqueue(serial, Datapoint::TEMPERATURE);
            }
        }
    }

    /// Notes what is known of each module; `gateways` are named in their order.
    pub fn measure(&self, gateways: &[impl AsRef<str>], sheet: &mut Sheet) {
        for module in self.modules.values() {
            let gateway = gateways.get(usize::from(module.plan.gateway.0)).map_or("", AsRef::as_ref);
            let serial = module.plan.serial.to_string();
            let labels = [gateway, serial.as_str()];
            sheet.flag(&names::AVAILABLE, &labels, module.connection.answers == Some(true));
            sheet.count(&names::REQUEST_TIMEOUTS, &labels, module.timeouts);
            sheet.count(&names::STORMS_SEEN, &labels, module.storms);
            if let Some(code) = module.error_code {
                sheet.flag(&names::ERROR_CODE, &[gateway, &serial, &format!("{code:02X}")], true);
            }
            if let Some(tenths) = module.temperature {
                sheet.level(&names::TEMPERATURE, &labels, f64::from(tenths) / 10.0);
            }
        }
    }
}

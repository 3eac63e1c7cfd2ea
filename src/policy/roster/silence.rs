//! Modules that leave questions unanswered: who counts as heard, and when one that does not answer is asked again.

use super::{Module, Roster};
use crate::policy::{GatewayId, Moment};

impl Roster {
    /// Those of this gateway that were passed over because they did not answer may be asked once more: a panel that is back
    /// says nothing by itself until somebody presses it.
    pub fn ask_silent(&mut self, gateway: GatewayId) {
        for serial in self.places.behind(gateway) {
            if let Some(module) = self.modules.get_mut(serial) {
                module.connection.mute = false;
            }
        }
    }
}

impl Module {
    /// It said something.
    pub(super) fn hear(&mut self, now: Moment) {
        self.last_heard = self.last_heard.max(Some(now));
        self.connection.mute = false;
        self.connection.answers = Some(true);
    }
}

//! The actor that hears what accessories show and passes it to the hall.
//!
//! Hears: [`AccessoryChanged`], and [`ShowPairing`] of a door that shows it to the owner. Asks nobody.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, Context, Handler, Message};

use super::hall::Hall;
use super::shown;
use crate::actors::events::{AccessoryChanged, Measure};
use crate::actors::now;
use crate::policy::BusError;
use crate::policy::figures::{Sheet, names};

/// Every accessory of a large site may change in one turn of the bus; what finds no room is told again.
const MAILBOX: usize = 1024;

/// Asks who is paired with each bridge, and for the setup code of those with whom nobody is. The answer is for the
/// owner's eyes: it must never be logged.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<serde_json::Value, BusError>")]
pub struct ShowPairing;

/// The actor. See the module.
pub struct Hub {
    pub(super) hall: Rc<RefCell<Hall>>,
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<AccessoryChanged> for Hub {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, _: &mut Context<Self>) {
        self.hall.borrow_mut().told(changed.id.0 as usize, &changed.state, now());
    }
}

impl Handler<ShowPairing> for Hub {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: ShowPairing, _: &mut Context<Self>) -> Self::Result {
        Ok(shown::pairing(&self.hall.borrow()))
    }
}

impl Handler<Measure> for Hub {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let hall = self.hall.borrow();
        let mut sheet = Sheet::default();
        sheet.level(&names::HOMEKIT_PAIRINGS, &[], hall.pairing_count() as f64);
        sheet.level(&names::HOMEKIT_SESSIONS, &[], hall.session_count() as f64);
        sheet.took(&names::HOMEKIT_TIME, &[], &hall.answers);
        Ok(sheet)
    }
}

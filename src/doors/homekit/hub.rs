//! The actor that hears what accessories show and passes it to the hall.
//!
//! Hears: [`AccessoryChanged`]. Asks nobody.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, Context, Handler};

use super::hall::Hall;
use crate::actors::events::{AccessoryChanged, Measure};
use crate::actors::now;
use crate::policy::BusError;
use crate::policy::figures::{Sheet, names};

/// Every accessory of a large site may change in one turn of the bus; what finds no room is told again.
const MAILBOX: usize = 1024;

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

impl Handler<Measure> for Hub {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let hall = self.hall.borrow();
        let mut sheet = Sheet::default();
        sheet.level(&names::HOMEKIT_PAIRINGS, &[], hall.pairing_count() as f64);
        sheet.level(&names::HOMEKIT_SESSIONS, &[], hall.session_count() as f64);
        Ok(sheet)
    }
}

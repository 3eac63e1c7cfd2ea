//! The actor that hears facts for this door and puts them on the desk.
//!
//! Hears: [`AccessoryChanged`], [`LinkChanged`], [`ButtonPressed`]; shows itself to [`Observe`] and [`Measure`]. Asks nobody.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, Context, Handler};
use tokio::sync::Notify;

use super::desk::Desk;
use crate::actors::events::{AccessoryChanged, ButtonPressed, LinkChanged, LinkState, Measure, Observe};
use crate::policy::BusError;
use crate::policy::figures::{Sheet, names};

/// Every accessory of a large site may change in one turn of the bus; what finds no room is told again.
const MAILBOX: usize = 1024;

/// The actor. See the module.
pub struct Hub {
    pub(super) desk: Rc<RefCell<Desk>>,
    pub(super) news: Rc<Notify>,
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
        self.desk.borrow_mut().told(changed.id, changed.state);
        self.news.notify_one();
    }
}

impl Handler<LinkChanged> for Hub {
    type Result = ();

    fn handle(&mut self, changed: LinkChanged, _: &mut Context<Self>) {
        let is_up = changed.state == LinkState::Up;
        self.desk.borrow_mut().link(usize::from(changed.gateway.0), is_up);
        self.news.notify_one();
    }
}

impl Handler<ButtonPressed> for Hub {
    type Result = ();

    fn handle(&mut self, pressed: ButtonPressed, _: &mut Context<Self>) {
        self.desk.borrow_mut().pressed(usize::from(pressed.gateway.0), pressed.input, pressed.edge);
        self.news.notify_one();
    }
}

impl Handler<Observe> for Hub {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(self.desk.borrow().picture())
    }
}

impl Handler<Measure> for Hub {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let desk = self.desk.borrow();
        let mut sheet = Sheet::default();
        sheet.flag(&names::MQTT_CONNECTED, &[], desk.is_open());
        sheet.count(&names::MQTT_MESSAGES, &["in"], desk.counters.commands);
        sheet.count(&names::MQTT_MESSAGES, &["out"], desk.board.published);
        sheet.count(&names::MQTT_DROPPED, &[], desk.board.dropped);
        Ok(sheet)
    }
}

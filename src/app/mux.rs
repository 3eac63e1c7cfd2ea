//! Opens the shared port: from its section of the config to its rules.

use std::rc::Rc;

use actix::{Actor, Addr};
use log::warn;
use tokio::net::TcpListener;

use super::App;
use super::run::{RunError, listen};
use crate::config::{self, Config};
use crate::doors::mux::{Access, Desk, Door, Hub, MuxPlan, Network, Rules};
use crate::policy::GatewayId;

/// What the section asks for.
pub fn plan(config: &Config, section: &config::Mux) -> MuxPlan {
    MuxPlan {
        listen: section.listen,
        gateway: GatewayId(section.gateway as u16),
        gateway_name: config
            .gateways
            .get(section.gateway)
            .map(|gateway| gateway.id.clone())
            .unwrap_or_default(),
        rules: rules(section),
    }
}

/// What clients may do.
fn rules(section: &config::Mux) -> Rules {
    Rules {
        access: match section.access {
            config::Access::Full => Access::Full,
            config::Access::NoWrite => Access::NoWrite,
            config::Access::Listen => Access::Listen,
        },
        firmware: section.firmware,
        allow: section
            .allow
            .iter()
            .map(|network| Network { address: network.address, bits: network.bits })
            .collect(),
        max_clients: section.max_clients,
        telegrams_per_second: section.telegrams_per_second,
    }
}

/// The port with its socket, before there is a connection to share.
pub(super) struct MuxBefore {
    desk: Rc<Desk>,
    listener: TcpListener,
    gateway: usize,
    /// Hears what goes by.
    pub(super) hub: Addr<Hub>,
}

impl MuxBefore {
    /// Takes the address, if the door is configured and there is a gateway to share.
    pub(super) async fn open(config: &Config) -> Result<Option<Self>, RunError> {
        let Some(section) = &config.mux else { return Ok(None) };
        if config.gateways.is_empty() {
            warn!(target: "app", "there is no gateway to share, the door stays closed section=[mux]");
            return Ok(None);
        }
        let listener = listen(&section.listen.to_string(), "the shared port").await?;
        let desk = Desk::new(plan(config, section));
        let hub = desk.hub().start();
        Ok(Some(Self { desk, listener, gateway: section.gateway, hub }))
    }

    /// Lets clients in.
    pub(super) fn serve(self, app: &App) -> Door {
        let connection = app.connections[self.gateway].clone();
        self.desk.serve(connection, &app.history, Some(self.listener))
    }
}

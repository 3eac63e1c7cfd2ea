//! Opens the configured doors and hands them what they may know: accessories, and pictures of the actors.

use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use log::warn;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::homekit::HomeKitBefore;
use super::mqtt::MqttBefore;
use super::mux::MuxBefore;
use super::run::{RunError, listen, read_token};
use super::walls::Walls;
use super::{App, Audience};
use crate::config::Config;
use crate::doors::http::{
    self, Beside, Door, Feed, GatewayCard, House, HttpPlan, Hub, Limits, Measured, Observed, Token,
};
use crate::doors::{homekit, mqtt, mux};

/// How long requests that are being answered may take when the daemon stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Doors that listen and hear facts, before the accessories exist.
pub(super) struct Doors {
    http: Option<HttpBefore>,
    homekit: Option<HomeKitBefore>,
    mqtt: Option<MqttBefore>,
    mux: Option<MuxBefore>,
}

struct HttpBefore {
    plan: HttpPlan,
    listener: TcpListener,
    hub: Addr<Hub>,
    feed: Feed,
}

/// Doors that serve.
pub(super) struct OpenDoors {
    http: Option<Door>,
    homekit: Option<homekit::Door>,
    mqtt: Option<mqtt::Door>,
    mux: Option<mux::Door>,
}

impl Doors {
    /// Takes the addresses: what cannot be listened on is told before anything is dialled.
    pub(super) async fn open(config: &Config) -> Result<Self, RunError> {
        let homekit = HomeKitBefore::open(config).await?;
        let mqtt = MqttBefore::open(config)?;
        let mux = MuxBefore::open(config).await?;
        let Some(plan) = &config.http else { return Ok(Self { http: None, homekit, mqtt, mux }) };
        let token = plan.token_file.as_deref().map(read_token).transpose()?;
        let listener = listen(&plan.listen.to_string(), "the HTTP door").await?;
        let (hub, feed) = http::hub();
        let plan = HttpPlan {
            listen: listener.local_addr().unwrap_or(plan.listen),
            token: token.map(Token::new),
            name: config.service.name.clone(),
            limits: Limits::default(),
        };
        Ok(Self { http: Some(HttpBefore { plan, listener, hub: hub.start(), feed }), homekit, mqtt, mux })
    }

    /// Who wants to hear facts.
    pub(super) fn audience(&self) -> Audience {
        let mut audience = Audience::default();
        if let Some(http) = &self.http {
            audience.accessories.push(http.hub.clone().recipient());
            audience.links.push(http.hub.clone().recipient());
            audience.telegrams.push(http.hub.clone().recipient());
        }
        if let Some(mux) = &self.mux {
            audience.links.push(mux.hub.clone().recipient());
            audience.telegrams.push(mux.hub.clone().recipient());
        }
        audience.accessories.extend(self.homekit.iter().map(|homekit| homekit.hub.clone().recipient()));
        if let Some(mqtt) = &self.mqtt {
            audience.accessories.push(mqtt.hub.clone().recipient());
            audience.links.push(mqtt.hub.clone().recipient());
            audience.buttons.push(mqtt.hub.clone().recipient());
        }
        audience
    }

    /// Lets clients in. `reload` is told when one of them wants the config read again.
    pub(super) fn serve(self, config: &Config, app: &App, walls: Walls, reload: Rc<Notify>) -> OpenDoors {
        let pairing = self.homekit.as_ref().map(HomeKitBefore::pairing);
        let http = self.http.map(|http| {
            let mut house = house(config, app, &http.hub);
            house.mqtt = self.mqtt.as_ref().map(|mqtt| Observed::from(mqtt.hub.clone()));
            house.mux = self.mux.as_ref().map(|mux| mux.hub.clone().into());
            house.measured.push(http.hub.clone().into());
            house.measured.extend(self.mux.iter().map(|mux| mux.hub.clone().into()));
            house.measured.extend(self.homekit.iter().map(|homekit| homekit.hub.clone().into()));
            house.measured.extend(self.mqtt.iter().map(|mqtt| mqtt.hub.clone().into()));
            house.beside =
                Beside { homekit: pairing, panels: walls.panels(config), press: walls.press(config) };
            http::serve(http.plan, http.listener, house, http.feed)
        });
        let homekit = self.homekit.map(|homekit| homekit.serve(app));
        let mux = self.mux.map(|mux| mux.serve(app));
        OpenDoors { http, homekit, mqtt: self.mqtt.map(|mqtt| mqtt.serve(app, reload)), mux }
    }
}

fn house(config: &Config, app: &App, hub: &Addr<Hub>) -> House {
    let gateways = config.gateways.iter().zip(&app.connections).zip(&app.listeners);
    House {
        roll: app.roll(),
        reloads: app.reloads(),
        gateways: gateways
            .map(|((gateway, connection), listener)| GatewayCard {
                id: gateway.id.clone(),
                address: gateway.address.to_string(),
                connection: connection.clone().into(),
                listener: listener.clone().into(),
            })
            .collect(),
        cache: app.cache.clone().into(),
        poller: app.poller.clone().into(),
        hub: hub.clone().into(),
        keeper: app.keeper.clone().map(Into::into),
        mux: None,
        mqtt: None,
        beside: Beside::default(),
        measured: app.measured(),
    }
}

impl App {
    /// Everybody who counts and measures, but the accessories, which are found on the roll, and the doors.
    pub fn measured(&self) -> Vec<Measured> {
        let mut measured = vec![self.cache.clone().into(), self.poller.clone().into()];
        measured.extend(self.connections.iter().cloned().map(Measured::from));
        measured.extend(self.listeners.iter().cloned().map(Measured::from));
        measured.extend(self.keeper.iter().cloned().map(Measured::from));
        measured
    }
}

impl OpenDoors {
    /// Whoever asks from now on is told that the daemon is stopping.
    pub(super) fn refuse(&self) {
        if let Some(http) = &self.http {
            http.refuse();
        }
        if let Some(mux) = &self.mux {
            mux.refuse();
        }
        if let Some(mqtt) = &self.mqtt {
            mqtt.refuse();
        }
    }

    /// Lets what is being answered end, then closes.
    pub(super) async fn close(self) {
        drop(self.mux);
        if let Some(mut homekit) = self.homekit {
            homekit.close().await;
        }
        if let Some(mut mqtt) = self.mqtt {
            mqtt.close().await;
        }
        if let Some(http) = self.http
            && http.drain(CLOSE_WITHIN).await.is_err()
        {
            warn!(target: "http", "requests were cut off after={CLOSE_WITHIN:?}");
        }
    }
}

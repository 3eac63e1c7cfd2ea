//! Opens the MQTT door: reads its secrets, and hands it what it may know.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use futures_util::future::{join, join_all};
use tokio::sync::Notify;

use super::App;
use super::run::{RunError, owned_file};
use crate::actors::ask;
use crate::actors::events::Observe;
use crate::config::{Config, Module, Mqtt};
use crate::doors::mqtt::{
    BrokerPlan, Door, Hub, Inside, LookInside, ModuleFace, MqttPlan, Reload, Secret, TlsPlan,
};

/// The file of every topic that was ever published, in the state folder.
const STORE: &str = "mqtt.json";

/// How long the poller may take to show its modules.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// How long reading the config again may take.
const RELOAD_WITHIN: Duration = Duration::from_secs(20);

/// A password, and a certificate, is a text of this length at most.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What is in a file, unless it is too long to be what it should be.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    let refused = |why: String| RunError::Secret { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|cause| refused(cause.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(refused(format!("it has {length} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    std::fs::read(path).map_err(|cause| refused(cause.to_string()))
}

/// What nobody but its owner may read.
fn read_secret(path: &Path) -> Result<Secret, RunError> {
    owned_file(path).map_err(|why| RunError::Secret { path: path.to_owned(), why })?;
    read(path).map(Secret::new)
}

/// A password: the file without the end of its line.
pub(super) fn read_password(path: &Path) -> Result<Secret, RunError> {
    owned_file(path).map_err(|why| RunError::Secret { path: path.to_owned(), why })?;
    let bytes = read(path)?;
    let text = bytes.trim_ascii_end();
    if text.is_empty() {
        return Err(RunError::Secret { path: path.to_owned(), why: "it is empty".into() });
    }
    Ok(Secret::new(text.to_vec()))
}

/// How the broker of the config is entered.
pub(super) fn broker(section: &Mqtt) -> Result<BrokerPlan, RunError> {
    let tls = if section.broker.tls {
        let client = match &section.client {
            Some((certificate, key)) => Some((read(certificate)?, read_secret(key)?)),
            None => None,
        };
        Some(TlsPlan { ca: section.ca_file.as_deref().map(read).transpose()?, client })
    } else {
        None
    };
    Ok(BrokerPlan {
        host: section.broker.host.clone(),
        port: section.broker.port,
        tls,
        user: section.user.clone(),
        password: section.password_file.as_deref().map(read_password).transpose()?,
    })
}

/// Where the page is, as far as the config tells: an address for this machine alone is none for others, and one that
/// means all of its addresses names none.
fn page(config: &Config) -> Option<String> {
    let listen = config.http.as_ref()?.listen;
    let is_elsewhere = !listen.ip().is_loopback() && !listen.ip().is_unspecified() && listen.port() != 0;
    is_elsewhere.then(|| format!("http://{listen}/"))
}

fn faces(modules: &[Module]) -> Vec<ModuleFace> {
    let modules = modules.iter().map(|module| ModuleFace {
        serial: module.serial,
        module_type: module.module_type,
        link: module.link,
        gateway: module.gateway,
    });
    modules.collect()
}

/// What came of reading the config again, for whoever asked for it.
fn outcome(last: &crate::doors::Reload) -> Result<serde_json::Value, String> {
    match &last.error {
        Some(error) => Err(error.clone()),
        None => Ok(serde_json::json!({"applied": last.applied, "needs_restart": last.needs_restart})),
    }
}

/// The door before the accessories exist.
pub(super) struct MqttBefore {
    door: Door,
    /// Hears what accessories show, links and buttons.
    pub(super) hub: Addr<Hub>,
}

impl MqttBefore {
    /// Reads what the door needs, if it is configured.
    pub(super) fn open(config: &Config) -> Result<Option<Self>, RunError> {
        let Some(section) = &config.mqtt else { return Ok(None) };
        let plan = MqttPlan {
            broker: broker(section)?,
            base: section.base.clone(),
            discovery_prefix: section.discovery_prefix.clone(),
            instance: section.instance.clone(),
            will_delay: section.will_delay,
            name: config.service.name.clone(),
            page: page(config),
            store: config.service.state_dir.join(STORE),
            gateways: config.gateways.iter().map(|gateway| gateway.id.clone()).collect(),
            modules: faces(&config.modules),
        };
        let door = Door::prepare(plan)?;
        let hub = door.hub().start();
        Ok(Some(Self { door, hub }))
    }

    /// Dials the broker. `reload` is told when somebody there wants the config read again.
    pub(super) fn serve(mut self, app: &App, reload: Rc<Notify>) -> Door {
        let poller = app.poller.clone();
        let connections = app.connections.clone();
        let look: LookInside = Box::new(move || {
            let picture = ask(&poller, Observe, LOOK_WITHIN);
            let links = join_all(connections.iter().map(|link| ask(link, Observe, LOOK_WITHIN)));
            Box::pin(async move {
                let (picture, links) = join(picture, links).await;
                let mut picture = picture.ok()?;
                // Of a connection that is too busy to tell nothing is known this time.
                picture["gateways"] = links.into_iter().map(Result::unwrap_or_default).collect();
                Some(picture)
            })
        });
        let told = app.reloads();
        let reloads = app.reloads();
        let reload: Reload = Box::new(move || {
            let mut reloads = reloads.clone();
            reloads.mark_unchanged();
            reload.notify_one();
            Box::pin(async move {
                match tokio::time::timeout(RELOAD_WITHIN, reloads.changed()).await {
                    Ok(Ok(())) => outcome(&reloads.borrow()),
                    Ok(Err(_)) => Err("the daemon is stopping".into()),
                    Err(_) => Err(format!("not read within {RELOAD_WITHIN:?}")),
                }
            })
        });
        let modules = app.modules();
        let modules = Box::new(move || faces(&modules.borrow()));
        self.door.serve(Inside { roll: app.roll(), modules, look, reload, reloads: told });
        self.door
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_linked_where_others_can_reach_it_by_an_address_that_is_known() {
        let of = |listen: &str| {
            let text = format!("[http]\nlisten = \"{listen}\"\ntoken_file = \"token\"\n");
            page(&crate::config::parse("config.toml", &text, Path::new("")).unwrap())
        };
        assert_eq!(of("192.168.1.5:8480").as_deref(), Some("http://192.168.1.5:8480/"));
        assert_eq!(of("[fd00::5]:8480").as_deref(), Some("http://[fd00::5]:8480/"));
        for nobody in ["127.0.0.1:8480", "[::1]:8480", "0.0.0.0:8480", "[::]:8480"] {
            assert_eq!(of(nobody), None, "{nobody}");
        }
    }
}

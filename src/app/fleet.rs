//! What `conbusd fleet` does: every daemon at a broker, by the words that they left there.

use std::path::PathBuf;

use super::mqtt::{broker, read, read_password};
use super::run::RunError;
use crate::config::{Broker, Config};
use crate::doors::mqtt::{self, BrokerPlan, TlsPlan};

/// Which broker, and how it is entered.
pub enum Entrance {
    /// As the daemon with this config does.
    Configured(Box<Config>),
    /// This one.
    Given {
        /// The broker.
        broker: Broker,
        /// The name it knows.
        user: Option<String>,
        /// The file with the password of that name.
        password_file: Option<PathBuf>,
        /// The file with the certificates of those who vouch for it.
        ca_file: Option<PathBuf>,
        /// The first part of every topic.
        base: String,
    },
}

/// The list, for people or as JSON. Call it inside a `System`.
pub async fn list(entrance: Entrance, as_json: bool) -> Result<String, RunError> {
    let (plan, base) = match entrance {
        Entrance::Configured(config) => {
            let section = config.mqtt.as_ref().ok_or(RunError::NoBroker)?;
            (broker(section)?, section.base.clone())
        }
        Entrance::Given { broker, user, password_file, ca_file, base } => {
            let ca = ca_file.as_deref().map(read).transpose()?;
            let plan = BrokerPlan {
                host: broker.host,
                port: broker.port,
                tls: broker.tls.then_some(TlsPlan { ca, client: None }),
                user,
                password: password_file.as_deref().map(read_password).transpose()?,
            };
            (plan, base)
        }
    };
    let fleet = mqtt::fleet(plan, &base).await?;
    Ok(if as_json { format!("{:#}\n", fleet.json()) } else { fleet.to_string() })
}

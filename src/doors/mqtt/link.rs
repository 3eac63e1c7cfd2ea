//! The broker as the door sees it, and the one place that knows the client library.
//!
//! A session is one connection: whatever ends it ends the session, and the next one is dialled by the owner. So the
//! library repeats nothing by itself, and holds no more than what is out.

use std::time::Duration;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use rumqttc::mqttbytes::QoS;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, DisconnectProperties, DisconnectReasonCode, Event,
    EventLoop, LastWill, LastWillProperties, MqttOptions, Outgoing, Packet, PersistedAckMode,
    PersistedSession, PublishOptions, SessionStore, SessionStoreError, SessionStoreKey, StateError,
    SubscribeFilter, TlsConfiguration, Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::board::Message;
use super::{BrokerPlan, TlsPlan};

/// The largest packet, both ways: one foreign retained message above the limit would end every connection.
const PACKET_BYTES_MAX: u32 = 1024 * 1024;

/// What the library may hold that is not yet written; the board has a smaller window.
const REQUESTS_MAX: usize = 64;

/// What was heard and not yet looked at; beyond it the broker has to wait.
const HEARD_MAX: usize = 64;

/// A broker that says nothing for this long is asked whether it is there.
const KEEP_ALIVE_S: u16 = 15;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a good-bye may take.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// What came from the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Somebody published this.
    Message {
        /// Where.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// Whether it lay there before.
        retained: bool,
    },
    /// One of our messages has arrived.
    Acknowledged,
    /// What we subscribed to is being listened to.
    Listening,
}

/// Why there is no session, or no longer one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// It knows neither name nor password, or does not let this one in.
    #[error("the broker refuses the name or the password: check `user` and `password_file`")]
    NotAllowed,
    /// Somebody else came with the same name.
    #[error("another client took the name `conbusd-{0}`: give each daemon its own `instance`")]
    TakenOver(String),
    /// It closed the connection without a word: it stops, or is one that says nothing when somebody takes our name
    /// (mosquitto 2.0).
    #[error(
        "the broker closed the connection: it stops, or another client took the name `{0}`, as a second daemon of \
         the same `instance` does"
    )]
    Closed(String),
    /// It cannot be reached, or went away.
    #[error("{0}")]
    Gone(String),
}

/// One who stays away: what the broker is to say then, where, and how long it waits before.
#[derive(Clone, Debug)]
pub(super) struct Will {
    /// Where.
    pub(super) topic: String,
    /// What.
    pub(super) payload: &'static str,
    /// How long it waits.
    pub(super) delay: Duration,
}

/// Leads to a broker.
pub(super) trait Dial {
    /// Makes a connection.
    fn dial(&self) -> LocalBoxFuture<'_, Result<Box<dyn Session>, LinkError>>;
}

/// A connection to a broker.
pub(super) trait Session {
    /// Hears what is published at these, at least once each.
    fn subscribe(&mut self, filters: Vec<String>) -> Result<(), LinkError>;

    /// Publishes this; [`Heard::Acknowledged`] tells when it has arrived.
    fn publish(&mut self, message: Message) -> Result<(), LinkError>;

    /// What comes next. Nothing is lost when it is no longer waited for.
    fn next(&mut self) -> LocalBoxFuture<'_, Result<Heard, LinkError>>;

    /// Takes leave: the will is not executed.
    fn leave(self: Box<Self>) -> LocalBoxFuture<'static, ()>;
}

/// The real one.
pub(super) struct BrokerDial {
    /// Where.
    pub(super) plan: BrokerPlan,
    /// Under which name; no two clients of a broker have the same.
    pub(super) client: String,
    /// What is said when this client stays away.
    pub(super) will: Option<Will>,
}

impl BrokerDial {
    fn options(&self) -> Result<MqttOptions, LinkError> {
        let mut options = MqttOptions::new(self.client.clone(), (self.plan.host.clone(), self.plan.port));
        options
            .set_keep_alive(KEEP_ALIVE_S)
            .set_connect_timeout(CONNECT_WITHIN)
            .set_max_packet_size(Some(PACKET_BYTES_MAX))
            .set_request_channel_capacity(REQUESTS_MAX);
        if let Some(will) = &self.will {
            let seconds = will.delay.as_secs() as u32;
            let properties = LastWillProperties {
                delay_interval: Some(seconds),
                payload_format_indicator: None,
                message_expiry_interval: None,
                content_type: None,
                response_topic: None,
                correlation_data: None,
                user_properties: Vec::new(),
            };
            let last =
                LastWill::new(will.topic.clone(), will.payload, QoS::AtLeastOnce, true, Some(properties));
            options.set_last_will(last);
            // A session that ended would execute the will at once: the old one is taken up again instead.
            options
                .set_clean_start(false)
                .set_session_store(NothingKept)
                .set_session_expiry_interval(Some(seconds));
        }
        if let Some(user) = &self.plan.user {
            let password = self.plan.password.as_ref().map(|password| password.0.clone()).unwrap_or_default();
            options.set_credentials(user.clone(), password);
        }
        if let Some(tls) = &self.plan.tls {
            options.set_transport(Transport::tls_with_config(encryption(tls)?));
        }
        Ok(options)
    }
}

/// What this side knows of a session that the broker takes up again: nothing is on its way, because everything is said
/// anew at each connect. The library does not speak in a session of which it has no record.
#[derive(Debug)]
struct NothingKept;

impl SessionStore for NothingKept {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Kept<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: None,
            outgoing_inflight_upper_limit: None,
            ack_mode: PersistedAckMode::Automatic,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(std::future::ready(Ok(Some(session))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Kept<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Kept<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

type Kept<'a, T> = BoxFuture<'a, Result<T, SessionStoreError>>;

fn encryption(tls: &TlsPlan) -> Result<TlsConfiguration, LinkError> {
    match &tls.ca {
        Some(ca) => Ok(TlsConfiguration::Simple {
            ca: ca.clone(),
            alpn: None,
            client_auth: tls.client.as_ref().map(|(certificate, key)| (certificate.clone(), key.0.clone())),
        }),
        None => TlsConfiguration::try_default_rustls()
            .map_err(|error| LinkError::Gone(format!("cannot use the certificates of the system: {error}"))),
    }
}

impl Dial for BrokerDial {
    fn dial(&self) -> LocalBoxFuture<'_, Result<Box<dyn Session>, LinkError>> {
        Box::pin(async {
            let built = AsyncClient::builder(self.options()?).capacity(REQUESTS_MAX).try_build();
            let (client, mut events) = built.map_err(|error| LinkError::Gone(error.to_string()))?;
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => break,
                    Ok(_) => {}
                    Err(error) => return Err(self.why(&error)),
                }
            }
            let (tell, heard) = mpsc::channel(HEARD_MAX);
            let instance = self.client.clone();
            let task = tokio::task::spawn_local(follow(events, tell, instance));
            Ok(Box::new(BrokerSession { client, heard, task }) as Box<dyn Session>)
        })
    }
}

impl BrokerDial {
    fn why(&self, error: &ConnectionError) -> LinkError {
        why(error, &self.client)
    }
}

/// Follows one connection to its end and tells what comes.
async fn follow(mut events: EventLoop, tell: mpsc::Sender<Result<Heard, LinkError>>, client: String) {
    loop {
        let heard = match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => Heard::Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.to_vec(),
                retained: publish.retain,
            },
            Ok(Event::Incoming(Packet::PubAck(_))) => Heard::Acknowledged,
            Ok(Event::Incoming(Packet::SubAck(_))) => Heard::Listening,
            // Asked once more, the library would dial again.
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(_) => continue,
            Err(error) => {
                // Nobody listens any more when this fails.
                let _ = tell.send(Err(why(&error, &client))).await;
                return;
            }
        };
        if tell.send(Ok(heard)).await.is_err() {
            return;
        }
    }
}

fn why(error: &ConnectionError, client: &str) -> LinkError {
    use ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
    match error {
        ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized)
        | ConnectionError::MqttState(StateError::ConnFail { reason: BadUserNamePassword | NotAuthorized }) => {
            LinkError::NotAllowed
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => LinkError::TakenOver(client.trim_start_matches("conbusd-").to_owned()),
        ConnectionError::MqttState(StateError::ConnectionAborted) => LinkError::Closed(client.to_owned()),
        other => LinkError::Gone(other.to_string()),
    }
}

struct BrokerSession {
    client: AsyncClient,
    heard: mpsc::Receiver<Result<Heard, LinkError>>,
    task: JoinHandle<()>,
}

impl Drop for BrokerSession {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn full(error: &rumqttc::ClientError) -> LinkError {
    LinkError::Gone(error.to_string())
}

impl Session for BrokerSession {
    fn subscribe(&mut self, filters: Vec<String>) -> Result<(), LinkError> {
        let filters = filters.into_iter().map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).map_err(|error| full(&error))
    }

    fn publish(&mut self, message: Message) -> Result<(), LinkError> {
        let options = PublishOptions::at_least_once().retain(message.retained);
        self.client.try_publish(message.topic, message.payload, options).map_err(|error| full(&error))
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Heard, LinkError>> {
        Box::pin(async {
            self.heard.recv().await.unwrap_or_else(|| Err(LinkError::Gone("the connection ended".into())))
        })
    }

    fn leave(mut self: Box<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            // The session ends with it: what is said to somebody who left is not to be obeyed when he comes back.
            let farewell = DisconnectProperties {
                session_expiry_interval: Some(0),
                reason_string: None,
                user_properties: Vec::new(),
                server_reference: None,
            };
            let reason = DisconnectReasonCode::NormalDisconnection;
            if self.client.try_disconnect_with_properties(reason, farewell).is_err() {
                return;
            }
            let ended = async { while matches!(self.heard.recv().await, Some(Ok(_))) {} };
            let _ = tokio::time::timeout(LEAVE_WITHIN, ended).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_session_ended_is_told_with_its_remedy() {
        let ended = |reason_code| {
            let error = StateError::ServerDisconnect { reason_code, reason_string: None };
            why(&ConnectionError::MqttState(error), "conbusd-attic")
        };
        let taken = ended(DisconnectReasonCode::SessionTakenOver);
        assert_eq!(taken, LinkError::TakenOver("attic".into()));
        assert!(
            taken.to_string().contains("`conbusd-attic`: give each daemon its own `instance`"),
            "{taken}"
        );
        assert!(matches!(ended(DisconnectReasonCode::ServerShuttingDown), LinkError::Gone(_)));
        let closed = why(&ConnectionError::MqttState(StateError::ConnectionAborted), "conbusd-attic");
        assert!(closed.to_string().contains("took the name `conbusd-attic`"), "{closed}");
        let refused = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        assert_eq!(why(&refused, "conbusd-attic"), LinkError::NotAllowed);
    }
}

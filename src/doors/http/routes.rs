//! Which path is answered how: asks the accessories and words what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::crowd::Client;
use super::events::Follower;
use super::figures::figures;
use super::gate::ALIVE;
use super::hub::Feed;
use super::json::{self, AccessoryObject};
use super::pictures::StatusObject;
use super::status::{self, Check, Part, Picture};
use super::translate::{self, Fault};
use super::{House, Limits, beside, document, history, page};
use crate::actors::events::{GetState, Observe, SetTarget};
use crate::actors::{ask, now};
use crate::doors::{AccessoryCard, Cards};
use crate::policy::store::Want;
use crate::policy::switch::{AccessoryState, Until};
use crate::policy::{BusError, Freshness, Moment};

/// Never waits for the bus; so long may the mailboxes take.
const LIST_WITHIN: Duration = Duration::from_millis(500);

/// The cache gives up after 3 s, and its answer says more than a time-out here.
const READ_WITHIN: Duration = Duration::from_millis(3050);

/// The accessory gives up after 4.9 s.
const WRITE_WITHIN: Duration = Duration::from_millis(4990);

/// An actor that tells nothing of itself for this long is busy.
pub(super) const OBSERVE_WITHIN: Duration = Duration::from_millis(200);

/// The same where somebody decides by it whether the daemon is to be restarted.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// The largest wish.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What is read and thrown away of a larger one: a client that is still writing does not see the answer.
const BODY_BYTES_IGNORED: usize = 1024 * 1024;

/// Who wants what is told to nobody here: every stream shows every change.
const CLIENT: u64 = 0;

/// How far the end of the door has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Everybody is welcome.
    Open,
    /// Whoever asks is told that the daemon is stopping.
    Refusing,
    /// Connections are closed.
    Closing,
}

/// Totals of the door.
#[derive(Default)]
pub(super) struct Tally {
    /// Connections there are.
    pub open: AtomicU64,
    /// Connections let in.
    pub connections: AtomicU64,
    /// Connections closed at once because there were too many.
    pub refused: AtomicU64,
    /// Connections that were cut because they were too slow.
    pub cut: AtomicU64,
    /// Requests answered.
    pub requests: AtomicU64,
    /// Requests turned away with a wrong token.
    pub wrong_tokens: AtomicU64,
}

impl Tally {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn picture(&self) -> Value {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "connections": total(&self.open),
            "connections_total": total(&self.connections),
            "connections_refused_total": total(&self.refused),
            "connections_cut_total": total(&self.cut),
            "requests_total": total(&self.requests),
            "wrong_tokens_total": total(&self.wrong_tokens),
        })
    }
}

/// Everything that a request may need.
pub(super) struct Site {
    pub name: String,
    pub house: House,
    pub feed: Feed,
    pub stage: watch::Receiver<Stage>,
    pub limits: Limits,
    pub tally: Tally,
}

impl Site {
    /// The accessories as they are now.
    pub(super) fn cards(&self) -> Arc<Cards> {
        Arc::clone(&self.house.roll.borrow())
    }

    pub(super) fn gateway_name(&self, gateway: usize) -> Option<&str> {
        self.house.gateways.get(gateway).map(|gateway| gateway.id.as_str())
    }
}

/// What every accessory shows now. One that does not answer shows nothing: the list never waits for it.
pub(super) async fn states(cards: &Cards) -> Result<Vec<AccessoryState>, BusError> {
    const SILENT: AccessoryState = AccessoryState {
        on: None,
        brightness: None,
        freshness: Freshness::Unknown,
        observed_at: None,
        origin: None,
    };
    let shown = |answer| match answer {
        Err(BusError::Stopping) => Err(BusError::Stopping),
        answer => Ok(answer.unwrap_or(SILENT)),
    };
    let answers = cards.ask_all(GetState { max_age: Want::Any }, LIST_WITHIN).await;
    answers.into_iter().map(shown).collect()
}

/// The list of these accessories in these states.
pub(super) fn listed<'a>(cards: &'a Cards, states: &[AccessoryState]) -> Vec<AccessoryObject<'a>> {
    let now = now();
    let pairs = cards.faces().zip(states);
    pairs.map(|(face, state)| AccessoryObject::new(face, state, now)).collect()
}

pub(super) type Shared = State<Arc<Site>>;

/// A path and what answers it.
pub(super) type Route = (&'static str, MethodRouter<Arc<Site>>);

/// Every path of the contract, and what answers it. The gate stands before all of them.
fn routes() -> impl Iterator<Item = Route> {
    let own: [Route; 11] = [
        ("/api/accessories", get(list)),
        ("/api/accessories/{id}", get(one).put(set)),
        ("/api/modules", get(modules)),
        ("/api/status", get(overview)),
        ("/api/history", get(history::history)),
        ("/api/events", get(follow)),
        (ALIVE, get(async || text(StatusCode::OK, "alive\n".into()))),
        ("/readyz", get(ready)),
        ("/healthz", get(ready)),
        ("/metrics", get(figures)),
        ("/api/openapi.json", get(document::answer)),
    ];
    own.into_iter().chain(page::routes()).chain(beside::routes())
}

/// Every path that is answered, as the router knows it: `{id}` stands for the id of an accessory.
pub fn paths() -> impl Iterator<Item = &'static str> {
    routes().map(|(path, _)| path)
}

/// Every path of the contract.
pub(super) fn router(site: Arc<Site>) -> Router {
    routes()
        .fold(Router::new(), |router, (path, answers)| router.route(path, answers))
        .fallback(async |uri: Uri| Fault::unknown_path(uri.path()))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            Fault::wrong_method(method.as_str(), uri.path())
        })
        .with_state(site)
}

async fn list(State(site): Shared) -> Result<Response, Fault> {
    let cards = site.cards();
    let states = states(&cards).await?;
    Ok(good(json::list(&listed(&cards, &states))))
}

async fn one(
    State(site): Shared,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Fault> {
    accessory(&site, &known(id)?, uri.query(), now()).await
}

/// The id in a plain read of one accessory; what is written in another way is the router's to understand.
pub(super) fn read_of_one<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let id = path.strip_prefix("/api/accessories/").filter(|_| *method == Method::GET)?;
    (!id.is_empty() && !id.contains(['/', '%'])).then_some(id)
}

/// What one accessory shows, no older than the query allows at `asked_at`.
pub(super) async fn accessory(
    site: &Site,
    id: &str,
    query: Option<&str>,
    asked_at: Moment,
) -> Result<Response, Fault> {
    let (face, read) = {
        let cards = site.house.roll.borrow();
        let card = named(&cards, id)?;
        let max_age = translate::want(query, asked_at)?;
        // Through the handle that all readers share: a copy of it would be a place of its own in the mailbox.
        (Arc::clone(&card.face), ask(&card.addr, GetState { max_age }, READ_WITHIN))
    };
    let state = read.await?;
    Ok(good(json::object(&AccessoryObject::new(&face, &state, now()))))
}

async fn set(
    State(site): Shared,
    id: Result<Path<String>, PathRejection>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let body = read(&headers, body, site.limits.body_within).await?;
    let cards = site.cards();
    let id = known(id)?;
    let card = named(&cards, &id)?;
    let target = translate::target(&body, &card.face.id, (card.face.kind, card.face.dims))?;
    let wish = SetTarget { target, until: Until::Confirmed, client: CLIENT };
    let state = cards.wish(card, translate::name(client.as_deref(), &headers), wish, WRITE_WITHIN).await?;
    Ok(good(json::object(&AccessoryObject::new(&card.face, &state, now()))))
}

/// The accessory with this id.
pub(super) fn named<'a>(cards: &'a Cards, id: &str) -> Result<&'a AccessoryCard, Fault> {
    cards.named(id).ok_or_else(|| Fault::unknown_accessory(id))
}

/// A path that is no text names no accessory.
fn known(id: Result<Path<String>, PathRejection>) -> Result<String, Fault> {
    id.map(|Path(id)| id).map_err(|_| Fault::unknown_accessory("\u{fffd}"))
}

pub(super) async fn read(headers: &HeaderMap, body: Body, within: Duration) -> Result<Vec<u8>, Fault> {
    let told =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = || {
        let message = format!("the body has more than {BODY_BYTES_MAX} bytes");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    if told.is_some_and(|length| length > BODY_BYTES_IGNORED) {
        return Err(too_large());
    }
    let mut pieces = body.into_data_stream();
    let whole = async {
        let (mut bytes, mut ignored) = (Vec::new(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Fault::bad_request("the body broke off"))?;
            if ignored > 0 || bytes.len() + piece.len() > BODY_BYTES_MAX {
                ignored += piece.len();
            } else {
                bytes.extend_from_slice(&piece);
            }
            if ignored > BODY_BYTES_IGNORED {
                break;
            }
        }
        if ignored > 0 { Err(too_large()) } else { Ok(bytes) }
    };
    tokio::time::timeout(within, whole).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {} s", within.as_secs_f32());
        Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message))
    })
}

async fn modules(State(site): Shared) -> Result<Response, Fault> {
    let poller = site.house.poller.look(OBSERVE_WITHIN).await.map_err(|error| match error {
        // It is not a module that did not answer in time.
        BusError::TimedOut => BusError::Busy,
        other => other,
    })?;
    let cards = site.cards();
    Ok(good(json::bytes(&status::modules(poller, &cards.faces()))))
}

async fn overview(State(site): Shared) -> Response {
    let house = &site.house;
    let gateways = house
        .gateways
        .iter()
        .map(|gateway| join(gateway.connection.look(OBSERVE_WITHIN), gateway.listener.look(OBSERVE_WITHIN)));
    let cards = site.cards();
    let accessories = cards.ask_all(Observe, OBSERVE_WITHIN);
    let singles = [&house.cache, &house.poller, &house.hub].into_iter().chain(&house.keeper);
    let singles = join_all(singles.map(|actor| actor.look(OBSERVE_WITHIN)));
    let mqtt = join_all(house.mqtt.iter().map(|door| door.look(OBSERVE_WITHIN)));
    let (gateways, (accessories, (singles, mqtt))) =
        join(join_all(gateways), join(accessories, join(singles, mqtt))).await;
    let mux = match &house.mux {
        Some(mux) => Some(mux.look(OBSERVE_WITHIN).await),
        None => None,
    };
    let mut actors = BTreeMap::new();
    let mut note = |name: String, picture: &Picture| actors.insert(name, status::word(picture));
    for (name, picture) in ["cache", "poller", "http", "keeper"].iter().zip(&singles) {
        note((*name).into(), picture);
    }
    if let Some(picture) = &mux {
        note("mux".into(), picture);
    }
    for (card, (connection, listener)) in house.gateways.iter().zip(&gateways) {
        note(format!("connection/{}", card.id), connection);
        note(format!("listener/{}", card.id), listener);
    }
    for (face, picture) in cards.faces().zip(&accessories) {
        note(format!("accessory/{}", face.id), picture);
    }
    let links = site.feed.links();
    let gateways =
        house.gateways.iter().zip(gateways).enumerate().map(|(at, (card, (connection, listener)))| {
            let link = links.get(&at).copied();
            status::gateway(&card.id, &card.address, link, connection, listener)
        });
    let gateways = gateways.collect();
    let mut singles = singles.into_iter().map(status::shown);
    let mut single = || singles.next().unwrap_or_default();
    let (cache, poller, hub) = (single(), status::without_modules(single()), single());
    let state = single();
    good(json::bytes(&StatusObject {
        name: site.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        gateways,
        cache,
        poller,
        state,
        mux: mux.map(status::shown).unwrap_or_default(),
        reload: status::reload(&house.reloads.borrow(), now()),
        http: json!({"door": site.tally.picture(), "hub": hub}),
        mqtt: mqtt.into_iter().map(status::shown).next().unwrap_or_default(),
        actors,
    }))
}

async fn follow(State(site): Shared, uri: Uri) -> Result<Response, Fault> {
    let with_telegrams = translate::with_telegrams(uri.query())?;
    let body = Follower::new(site, with_telegrams).into_body();
    let mut response = reply(StatusCode::OK, "text/event-stream", body);
    // Whatever follows the stream comes on another connection.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    // nginx would keep events back until it has a page full of them.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

async fn ready(State(site): Shared, uri: Uri) -> Result<Response, Fault> {
    let left_out = translate::left_out(uri.query())?;
    let house = &site.house;
    let links = site.feed.links();
    let gateways = house.gateways.iter().enumerate();
    let links = gateways.map(|(at, gateway)| status::link(&gateway.id, links.get(&at).copied()));
    let parts = [
        (Part::Cache, Some(&house.cache)),
        (Part::Poller, Some(&house.poller)),
        (Part::Http, Some(&house.hub)),
        (Part::HomeKit, house.beside.homekit.as_ref()),
        (Part::Mqtt, house.mqtt.as_ref()),
        (Part::Mux, house.mux.as_ref()),
    ];
    let looks = parts.into_iter().filter_map(|(part, actor)| Some((part, actor?)));
    let looks = looks.map(async |(part, actor)| status::part(part, &actor.look(READY_WITHIN).await));
    let checks: Vec<Check> = links.chain(join_all(looks).await).collect();
    let (ready, report) = status::readiness(&checks, &left_out);
    Ok(text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, report))
}

pub(super) fn good(json: Bytes) -> Response {
    reply(StatusCode::OK, "application/json", json.into())
}

fn text(status: StatusCode, lines: String) -> Response {
    reply(status, "text/plain; charset=utf-8", lines.into())
}

pub(super) fn reply(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = reply(self.status, "application/json", json::error(&self).into());
        let more: Option<(HeaderName, &'static str)> = match self.code {
            "no_token" | "wrong_token" => Some((header::WWW_AUTHENTICATE, "Bearer")),
            "too_many_failures" => Some((header::RETRY_AFTER, "6")),
            "stopping" => Some((header::CONNECTION, "close")),
            _ => None,
        };
        if let Some((name, value)) = more {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_read_of_one_accessory_passes_the_router_by() {
        let read = |method: Method, path| read_of_one(&method, path);
        assert_eq!(read(Method::GET, "/api/accessories/m1o0"), Some("m1o0"));
        assert_eq!(read(Method::PUT, "/api/accessories/m1o0"), None);
        assert_eq!(read(Method::HEAD, "/api/accessories/m1o0"), None);
        for path in ["/api/accessories", "/api/accessories/", "/api/accessories/a/b", "/api/accessories/%61"]
        {
            assert_eq!(read(Method::GET, path), None, "{path}");
        }
    }
}

//! The sockets of the door: accepts, bounds and ends connections, and lets requests through the gate.
//!
//! Everything runs on the thread that calls [`serve`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use log::{Level, debug, info, log_enabled, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Sleep;

use super::crowd::{Client, Crowd, Failures};
use super::gate::{ALIVE, Denied, Gate};
use super::pulse::{Cut, Pulse};
use super::routes::{self, Site, Stage, Tally, read_of_one, router};
use super::translate::Fault;
use super::wire::Wire;
use super::{Feed, House, HttpPlan, Limits};
use crate::actors::now;
use crate::policy::{BusError, Moment};

/// The header of a request, and what may queue for a client here before the socket has to take it.
const BUFFER_BYTES: usize = 8192;

/// Pause after the system gave no connection: there are no open files left, and trying at once changes nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A shortage that lasts is told once in this time.
const SHORTAGE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// A door that is open. Dropping it closes it at once.
#[derive(Debug)]
pub struct Door {
    stage: watch::Sender<Stage>,
    accepting: JoinHandle<()>,
}

/// Opens the door on this thread, behind a socket that listens already.
pub fn serve(plan: HttpPlan, listener: TcpListener, house: House, feed: Feed) -> Door {
    let (stage, heard) = watch::channel(Stage::Open);
    let limits = plan.limits;
    let site = Site { name: plan.name, house, feed, stage: heard.clone(), limits, tally: Tally::default() };
    let site = Arc::new(site);
    let keeper = Rc::new(Keeper {
        gate: Gate::new(plan.listen, plan.token),
        crowd: RefCell::default(),
        failures: RefCell::new(Failures::new()),
        router: TowerToHyperService::new(router(Arc::clone(&site))),
        stage: heard,
        limits,
        site,
    });
    info!(target: "http", "listening address={}", listener.local_addr().unwrap_or(plan.listen));
    Door { stage, accepting: tokio::task::spawn_local(keeper.accept(listener)) }
}

impl Door {
    /// From now on whoever asks is told that the daemon is stopping; event streams end.
    pub fn refuse(&self) {
        self.reach(Stage::Refusing);
    }

    /// Closes the door: takes nobody in any more, lets requests that are being answered end, and gives up those
    /// that do not in this time.
    pub async fn drain(mut self, within: Duration) -> Result<(), BusError> {
        self.reach(Stage::Closing);
        match tokio::time::timeout(within, &mut self.accepting).await {
            Ok(_) => Ok(()),
            Err(_) => Err(BusError::TimedOut),
        }
    }

    fn reach(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the connections share.
struct Keeper {
    gate: Gate,
    crowd: RefCell<Crowd>,
    failures: RefCell<Failures>,
    router: TowerToHyperService<Router>,
    stage: watch::Receiver<Stage>,
    limits: Limits,
    site: Arc<Site>,
}

impl Keeper {
    async fn accept(self: Rc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut stage = self.stage.clone();
        let mut shortage = Shortage::default();
        loop {
            tokio::select! {
                biased;
                () = closing(&mut stage) => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer, &mut connections),
                    // The client has gone already; the next one may be there.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        shortage.tell(&error, now());
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Lets a connection in, or closes it at once.
    fn admit(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        let client = Client::from(peer.ip());
        let tally = &self.site.tally;
        if !self.crowd.borrow_mut().enter(client, &self.limits) {
            Tally::count(&tally.refused);
            debug!(target: "http", "too many connections, closed peer={peer}");
            return;
        }
        Tally::count(&tally.open);
        let seat = Seat { keeper: Rc::clone(self), client };
        if let Err(error) = prepare(&stream, &self.limits) {
            debug!(target: "http", "closed peer={peer} error={error}");
            return;
        }
        Tally::count(&tally.connections);
        connections.spawn_local(attend(seat, stream, peer));
    }

    /// Answers a request, if the gate lets it through.
    async fn answer(&self, request: Request<Incoming>, client: Client) -> Response<Body> {
        let began = now();
        let asked = log_enabled!(target: "http", Level::Debug)
            .then(|| (request.method().clone(), request.uri().clone()));
        let response = match self.check(&request, client, began) {
            Ok(()) => self.pass(request, client, began).await,
            Err(fault) => fault.into_response(),
        };
        Tally::count(&self.site.tally.requests);
        if let Some((method, uri)) = asked {
            debug!(target: "http", "answered method={method} path={} status={} micros={}",
                uri.path(), response.status().as_u16(), now().since(began).as_micros());
        }
        response
    }

    /// Passes a request on to what answers it. A read of one accessory, which most requests are, needs no router.
    async fn pass(&self, mut request: Request<Incoming>, client: Client, began: Moment) -> Response<Body> {
        if let Some(id) = read_of_one(request.method(), request.uri().path()) {
            let read = routes::accessory(&self.site, id, request.uri().query(), began);
            return read.await.unwrap_or_else(Fault::into_response);
        }
        request.extensions_mut().insert(client);
        match self.router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn check(&self, request: &Request<Incoming>, client: Client, now: Moment) -> Result<(), Fault> {
        self.gate.admits(request.method(), request.uri(), request.headers()).map_err(|denied| {
            if denied == Denied::WrongToken {
                Tally::count(&self.site.tally.wrong_tokens);
                if !self.failures.borrow_mut().allow(client, now) {
                    let message = "too many wrong tokens from this address; wait a little";
                    return Fault::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", message);
                }
            }
            denied.into()
        })?;
        if *self.stage.borrow() != Stage::Open && request.uri().path() != ALIVE {
            return Err(BusError::Stopping.into());
        }
        Ok(())
    }
}

/// How often the system gave no connection, and when that was told.
#[derive(Default)]
struct Shortage {
    untold: u32,
    told: Option<Moment>,
}

impl Shortage {
    fn tell(&mut self, error: &io::Error, now: Moment) {
        self.untold += 1;
        if self.told.is_none_or(|told| now.since(told) >= SHORTAGE_TOLD_EVERY) {
            let times = std::mem::take(&mut self.untold);
            warn!(target: "http", "no connection can be accepted, trying on times={times} error={error}");
            self.told = Some(now);
        }
    }
}

/// The place of a connection among those let in.
struct Seat {
    keeper: Rc<Keeper>,
    client: Client,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.keeper.crowd.borrow_mut().leave(self.client);
        self.keeper.site.tally.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn prepare(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_send_buffer_size(limits.send_buffer_bytes)
}

/// Ends when the door closes.
async fn closing(stage: &mut watch::Receiver<Stage>) {
    // An error says that the door is gone.
    let _ = stage.wait_for(|stage| *stage == Stage::Closing).await;
}

/// Answers the requests of one connection until it ends, or is cut off.
async fn attend(seat: Seat, stream: TcpStream, peer: SocketAddr) {
    let keeper = &seat.keeper;
    let client = seat.client;
    let pulse = Rc::new(Pulse::new(now()));
    let requests = service_fn(|request| {
        let (keeper, pulse) = (Rc::clone(keeper), Rc::clone(&pulse));
        async move {
            pulse.asked();
            let response = keeper.answer(request, client).await;
            if response.body().size_hint().exact().is_some() {
                pulse.answered(now());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let wire = TokioIo::new(Wire::new(stream, Rc::clone(&pulse)));
    let mut settings = http1::Builder::new();
    // The deadline of a header is the pulse's: hyper's would end connections between requests, too.
    settings.header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    let mut connection = pin!(settings.serve_connection(wire, requests));
    let mut watched = pin!(Watched::new(&pulse, keeper.limits));
    let mut stage = keeper.stage.clone();
    let mut is_closing = false;
    loop {
        tokio::select! {
            // The connection first: what it did decides its deadline.
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(target: "http", "connection ended peer={peer} error={error}");
                }
                return;
            }
            cut = watched.as_mut() => {
                Tally::count(&keeper.site.tally.cut);
                debug!(target: "http", "connection cut peer={peer} why={cut:?}");
                return;
            }
            () = closing(&mut stage), if !is_closing => {
                is_closing = true;
                pulse.closing(now());
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Ends when a connection has missed its deadline. It has one timer, which is moved only when it would ring late.
struct Watched<'a> {
    pulse: &'a Pulse,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
    /// When the timer rings; `None`: it has rung.
    armed: Option<Moment>,
}

impl<'a> Watched<'a> {
    fn new(pulse: &'a Pulse, limits: Limits) -> Self {
        let timer = Box::pin(tokio::time::sleep(limits.head_within));
        Self { pulse, limits, timer, armed: Some(now() + limits.head_within) }
    }
}

impl Future for Watched<'_> {
    type Output = Cut;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cut> {
        let this = self.get_mut();
        loop {
            let Some((deadline, why)) = this.pulse.deadline(&this.limits) else { return Poll::Pending };
            if this.armed.is_none_or(|armed| deadline < armed) {
                let now = now();
                if deadline <= now {
                    return Poll::Ready(why);
                }
                this.timer.as_mut().reset(tokio::time::Instant::now() + deadline.since(now));
                this.armed = Some(deadline);
            }
            ready!(this.timer.as_mut().poll(cx));
            this.armed = None;
        }
    }
}

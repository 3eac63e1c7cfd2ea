//! A house of many modules on one arbiter, whose buses say nothing: what is known of it was told to the cache.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::Actor as _;
use conbusd::actors::events::{PointObserved, Read, StopPolling};
use conbusd::actors::{Outlet, ask, now, tell};
use conbusd::app::{App, Audience, assemble};
use conbusd::conbus::{OutputIndex, Point, SerialNumber};
use conbusd::config::{self, Config};
use conbusd::policy::settle::{Basis, PointValue};
use conbusd::policy::store::{ModulePlan, Observation, Store, Want};
use conbusd::policy::{Freshness, GatewayId, Urgency};
use conbusd::transport::{BusStream, Dial, Dialled};
use lru::LruCache;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::house::{Door, store_for};

/// Buses of every crowd, whatever its size: only modules make the difference.
const GATEWAYS: usize = 100;

/// Outputs of a module, all XP24.
pub(crate) const OUTPUTS: u8 = 4;

/// Facts that are told before the cache gets its turn.
const AT_ONCE: usize = 256;

/// How much of the house there is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Furnished {
    /// Modules of which nothing is known, without accessories.
    Modules,
    /// Everything is known, and an accessory stands for each output.
    Accessories,
}

/// Takes everything and says nothing.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Silent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct SilentDial;

impl Dial for SilentDial {
    fn dial(&self) -> Dialled {
        Box::pin(async { Ok(Box::new(Silent) as Box<dyn BusStream>) })
    }

    fn target(&self) -> String {
        "nowhere".into()
    }
}

fn serial(module: usize) -> SerialNumber {
    format!("{:010}", 1_000_000 + module).parse().unwrap()
}

fn points(modules: usize) -> impl Iterator<Item = Point> {
    (0..modules).flat_map(|module| {
        let serial = serial(module);
        (0..OUTPUTS).map(move |output| Point { serial, output: OutputIndex::new(output).unwrap() })
    })
}

fn config(modules: usize, furnished: Furnished) -> Config {
    let mut text = String::new();
    for gateway in 0..GATEWAYS {
        text += &format!("[[gateway]]\nid = \"g{gateway}\"\naddress = \"127.0.0.1:{}\"\n", 10_000 + gateway);
    }
    for module in 0..modules {
        let (gateway, link) = (module % GATEWAYS, module / GATEWAYS);
        let serial = serial(module);
        text += &format!(
            "[[module]]\nserial = \"{serial}\"\ntype = \"XP24\"\nlink = {link}\ngateway = \"g{gateway}\"\n"
        );
        let accessories = if furnished == Furnished::Accessories { OUTPUTS } else { 0 };
        for output in 0..accessories {
            text += &format!(
                "[[accessory]]\nid = \"m{module}o{output}\"\nname = \"Lamp {module} {output}\"\nkind = \"light\"\n\
                 module = \"{serial}\"\noutput = {output}\n"
            );
        }
    }
    config::parse("crowd.toml", &text, Path::new("/")).unwrap()
}

/// The house.
pub(crate) struct Crowd {
    pub(crate) app: App,
}

impl Crowd {
    /// Starts it and lets it come to rest.
    pub(crate) async fn start(modules: usize, furnished: Furnished) -> Self {
        let config = config(modules, furnished);
        let dials = (0..GATEWAYS).map(|_| Box::new(SilentDial) as Box<dyn Dial>).collect();
        let audience = Audience { accessories: vec![Door.start().recipient()], ..Audience::default() };
        let app = assemble(&config, dials, &audience, 1);
        drop(config);
        let mut poller = Outlet::new(app.poller.clone().recipient());
        assert!(tell(&mut poller, StopPolling), "the poller has room");
        // The links come up, and what was asked until then has run into its deadline.
        tokio::time::sleep(Duration::from_secs(12)).await;
        if furnished == Furnished::Accessories {
            let mut cache = Outlet::new(app.cache.clone().recipient());
            for (turn, point) in points(modules).enumerate() {
                let (value, at) = (PointValue::On(true), now());
                let fact =
                    PointObserved { point, value, basis: Basis::Report, seq: 1_000_000, at, not_before: at };
                assert!(tell(&mut cache, fact), "the cache has room");
                if turn % AT_ONCE == AT_ONCE - 1 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            let last = points(modules).last().unwrap();
            let read = Read { point: last, max_age: Want::Any, urgency: Urgency::Reader, asked_at: now() };
            let known = ask(&app.cache, read, Duration::from_secs(1)).await.unwrap();
            assert_eq!((known.on, known.freshness), (Some(true), Freshness::Fresh));
        }
        Self { app }
    }
}

fn plans(modules: usize) -> Vec<ModulePlan> {
    let plan = |module| ModulePlan {
        serial: serial(module),
        gateway: GatewayId(0),
        outputs: OUTPUTS,
        dimmable: false,
    };
    (0..modules).map(plan).collect()
}

/// A store with so many modules that knows nothing of them and has no room for it.
pub(crate) fn unknown(modules: usize) -> Store {
    store_for(1, plans(modules))
}

/// A store that knows all outputs of so many modules.
pub(crate) fn store(modules: usize) -> Store {
    let gateway = GatewayId(0);
    let mut store = store_for(modules * usize::from(OUTPUTS), plans(modules));
    let mut effects = Vec::new();
    store.link_changed(gateway, true, now(), &mut effects);
    for point in points(modules) {
        let (value, at) = (PointValue::On(true), now());
        store.observed(
            Observation { point, value, basis: Basis::Report, seq: 1, at, not_before: at },
            &mut effects,
        );
        effects.clear();
    }
    store
}

/// The control: as many entries in a map that forgets, each a key of 16 bytes and a value of 32, and nothing else.
pub(crate) fn control(modules: usize) -> LruCache<(u64, u8), [u64; 4]> {
    let mut map = LruCache::new(NonZeroUsize::new(modules * usize::from(OUTPUTS)).unwrap());
    for at in 0..map.cap().get() as u64 {
        map.put((at / u64::from(OUTPUTS), (at % u64::from(OUTPUTS)) as u8), [at; 4]);
    }
    map
}

//! Another program at the shared port: it hears what goes by, asks and switches. The port and its desk are the
//! daemon's own, over a stream in memory.

use std::rc::Rc;

use actix::Actor;
use conbusd::app::{App, Audience};
use conbusd::conbus::{Piece, Splitter, Telegram};
use conbusd::doors::mux::{Access, Desk, Door, MuxPlan, Network, Rules};
use conbusd::policy::GatewayId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use crate::wire::Line;

/// What a stream in memory holds.
const BYTES: usize = 64 * 1024;

/// The shared port before there is a connection to share.
pub(crate) struct Port(Rc<Desk>);

impl Port {
    /// A port that hears, and the audience with it.
    pub(crate) fn open(audience: &Audience) -> (Self, Audience) {
        let home = Network { address: [127, 0, 0, 1].into(), bits: 8 };
        let rules = Rules {
            access: Access::Full,
            firmware: false,
            allow: vec![home],
            max_clients: 2,
            telegrams_per_second: 10,
        };
        let plan = MuxPlan {
            listen: ([127, 0, 0, 1], 10_101).into(),
            gateway: GatewayId(0),
            gateway_name: "home".into(),
            rules,
        };
        let desk = Desk::new(plan);
        let hub = desk.hub().start();
        let mut audience = audience.clone();
        audience.links.push(hub.clone().recipient());
        audience.telegrams.push(hub.recipient());
        (Self(desk), audience)
    }

    /// Opens it and lets one client in, within the life of the daemon.
    pub(crate) fn let_in(self, app: &App, line: &Rc<Line>) -> Guest {
        let (guest, port) = tokio::io::duplex(BYTES);
        let _served = self.0.welcome(port, ([127, 0, 0, 1], 40_000).into());
        let door = self.0.serve(app.connections[0].clone(), &app.history, None);
        let (says, words) = mpsc::unbounded_channel();
        tokio::task::spawn_local(visit(guest, words, line.clone()));
        Guest { says, _door: door }
    }
}

/// The other program.
pub(crate) struct Guest {
    says: mpsc::UnboundedSender<Telegram>,
    _door: Door,
}

impl Guest {
    /// It says this.
    pub(crate) fn say(&self, telegram: impl Into<Telegram>) {
        let _ = self.says.send(telegram.into());
    }
}

async fn visit(mut stream: DuplexStream, mut words: mpsc::UnboundedReceiver<Telegram>, line: Rc<Line>) {
    let mut splitter = Splitter::new();
    let mut buffer = [0; 512];
    loop {
        tokio::select! {
            biased;
            read = stream.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                let mut bytes = &buffer[..length];
                while let Some(piece) = splitter.next_piece(&mut bytes) {
                    if let Piece::Frame(frame) = piece && let Ok(telegram) = Telegram::parse(frame) {
                        line.overheard(&telegram);
                    }
                }
            }
            Some(telegram) = words.recv() => {
                if stream.write_all(&telegram.to_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

//! A gateway in between that tells when a report passed it: the moment from which readers are measured.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::programs::clock;

/// How long a report may take through the emulated house.
const WITHIN: Duration = Duration::from_secs(10);

/// Passes everything on, in both directions, for every client that dials.
pub(crate) struct Tap {
    pub(crate) port: u16,
    passed: Receiver<Instant>,
}

impl Tap {
    /// Stands before the gateway of this port, which may be started later.
    pub(crate) fn before(gateway: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, passed) = channel();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(house) = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway)) else { continue };
                for stream in [&client, &house] {
                    stream.set_nodelay(true).unwrap();
                }
                let (ours, theirs) = (client.try_clone().unwrap(), house.try_clone().unwrap());
                pass_on(ours, theirs, None);
                pass_on(house, client, Some(told.clone()));
            }
        });
        Self { port, passed }
    }

    /// When the next report was about to be written into the client's socket.
    pub(crate) fn report(&self) -> Option<Instant> {
        self.passed.recv_timeout(WITHIN).ok()
    }

    /// Forgets what passed until now.
    pub(crate) fn clear(&self) {
        self.passed.try_iter().for_each(drop);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, told: Option<Sender<Instant>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..count];
            if let Some(told) = told.as_ref().filter(|_| memchr::memmem::find(bytes, b"<E").is_some()) {
                let _ = told.send(clock());
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        // The other side learns of it as if nobody stood in between.
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

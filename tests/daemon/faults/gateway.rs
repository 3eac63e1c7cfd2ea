//! A gateway that does what a test tells it: real modules answer from its house, and what it says beyond that is up to the
//! test. It counts dials and the time between the end of a connection and the next dial.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use conbusd::conbus::{Function, Piece, Reply, SerialNumber, Splitter, Telegram};
use tokio::time::Instant;

/// How long it waits for an order before it looks at its sockets again.
const TURN: Duration = Duration::from_millis(2);

/// Everything that it has; one thread owns it and runs the test's orders on it.
pub(super) struct Desk {
    /// Whether it closes whoever connects at once, as one that has a client.
    pub(super) is_taken: bool,
    /// The four outputs of each XP24, output 0 first.
    pub(super) outputs: BTreeMap<SerialNumber, [bool; 4]>,
    /// When each connection came.
    pub(super) dials: Vec<Instant>,
    /// The shortest time from the end of a connection to the next dial.
    pub(super) gap: Option<Duration>,
    /// How often somebody connected while somebody was connected.
    pub(super) crowded: usize,
    /// The telegrams that were heard.
    pub(super) heard: Vec<String>,
    client: Option<(TcpStream, Splitter)>,
    ended: Option<Instant>,
}

type Order = Box<dyn FnOnce(&mut Desk) + Send>;

pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    orders: Sender<Order>,
}

impl Gateway {
    /// Two XP24 and a bridge, as in the config of `programs`; every output is off.
    pub(super) fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let outputs = (1..=2).map(|module| (serial(module), [false; 4])).collect();
        let desk = Desk {
            is_taken: false,
            outputs,
            dials: Vec::new(),
            gap: None,
            crowded: 0,
            heard: Vec::new(),
            client: None,
            ended: None,
        };
        let (orders, ordered) = channel();
        thread::spawn(move || desk.run(&listener, &ordered));
        Self { address, orders }
    }

    /// Does this to it and gives what comes of it.
    pub(super) fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut Desk) -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let order: Order = Box::new(move |desk| tell.send(act(desk)).unwrap());
        self.orders.send(order).unwrap();
        told.recv().unwrap()
    }

    /// Sends bytes as they are, in one write.
    pub(super) fn say(&self, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.with(move |desk| desk.say(&bytes));
    }

    /// Ends the connection in order.
    pub(super) fn hang_up(&self) {
        self.with(Desk::end);
    }

    /// Ends the connection with a reset.
    pub(super) fn reset(&self) {
        self.with(|desk| {
            if let Some((client, _)) = &desk.client {
                socket2::SockRef::from(client).set_linger(Some(Duration::ZERO)).unwrap();
            }
            desk.end();
        });
    }
}

pub(super) fn serial(module: u8) -> SerialNumber {
    format!("001234500{module}").parse().unwrap()
}

/// A whole frame with this payload.
pub(super) fn frame(payload: &str) -> Vec<u8> {
    Telegram::parse_payload(payload.as_bytes()).unwrap().to_bytes()
}

/// The reply to D12 of an XP24 with these outputs.
pub(super) fn bitmap(module: u8, outputs: [bool; 4]) -> Vec<u8> {
    let bits: String = outputs.iter().rev().map(|on| if *on { '1' } else { '0' }).collect();
    frame(&format!("R001234500{module}F02D12xxxx{bits}"))
}

/// The report of an output of an XP24.
pub(super) fn report(module: u8, output: u8, on: bool) -> Vec<u8> {
    frame(&format!("E07L0{module}I8{output}{}", if on { 'M' } else { 'B' }))
}

impl Desk {
    /// Serves until the test lets go of it.
    fn run(mut self, listener: &TcpListener, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(TURN) {
                Ok(order) => order(&mut self),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Ok((stream, _)) = listener.accept() {
                self.admit(stream);
            }
            self.listen();
        }
    }

    fn admit(&mut self, stream: TcpStream) {
        // The old connection may have been closed by the daemon a moment ago.
        self.listen();
        let now = Instant::now();
        self.dials.push(now);
        if let Some(ended) = self.ended {
            self.gap = Some(self.gap.map_or(now - ended, |least| least.min(now - ended)));
        }
        self.crowded += usize::from(self.client.is_some());
        if self.is_taken {
            self.ended = Some(now);
            return;
        }
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        self.client = Some((stream, Splitter::new()));
    }

    fn end(&mut self) {
        if self.client.take().is_some() {
            self.ended = Some(Instant::now());
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        let (client, _) = self.client.as_mut().expect("nobody is connected");
        let mut left = bytes;
        while !left.is_empty() {
            match client.write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                Err(_) => return,
            }
        }
    }

    /// Takes what was sent to it, and answers.
    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        while let Some((client, splitter)) = &mut self.client {
            let length = match client.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.end(),
                Ok(length) => length,
            };
            let mut unread = &buffer[..length];
            let mut frames = Vec::new();
            while let Some(piece) = splitter.next_piece(&mut unread) {
                if let Piece::Frame(frame) = piece {
                    frames.extend(Telegram::parse(frame).ok());
                }
            }
            let answers: Vec<u8> = frames.into_iter().flat_map(|telegram| self.hear(telegram)).collect();
            self.say(&answers);
        }
    }

    /// Notes a telegram and gives the answer to it.
    fn hear(&mut self, telegram: Telegram) -> Vec<u8> {
        self.heard.push(telegram.to_string());
        let Telegram::System(system) = telegram else { return Vec::new() };
        if system.function != Function::READ_DATAPOINT {
            return Vec::new();
        }
        let code = system.data().to_vec();
        let value = match (&code[..], self.outputs.get(&system.serial)) {
            (b"12", Some(outputs)) => {
                let bits = outputs.iter().rev().map(|on| if *on { b'1' } else { b'0' });
                b"xxxx".iter().copied().chain(bits).collect()
            }
            (b"10", _) => b"00".to_vec(),
            (b"02", Some(_)) => b"XP24_V0.34.03".to_vec(),
            (b"07", Some(_)) => b"07".to_vec(),
            (b"04", Some(_)) => format!("0{}", system.serial.to_string().pop().unwrap()).into_bytes(),
            (b"21", Some(_)) => b"PP".to_vec(),
            _ => return Vec::new(),
        };
        let reply = Reply::new(system.serial, system.function, [code, value].concat());
        reply.map_or_else(Vec::new, |reply| Telegram::from(reply).to_bytes())
    }
}

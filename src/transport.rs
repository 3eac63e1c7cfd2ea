//! The way to a gateway: dialling, and the decoder between bytes and telegrams.

use std::cell::RefCell;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::codec::Decoder;

use crate::conbus::{NoiseCause, Piece, Splitter, Telegram};

/// How long a dial may take: a gateway on the home network answers in milliseconds.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// Keep-alive of the socket: a cable pulled during an idle night is noticed in about half a minute.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEP_ALIVE_RETRIES: u32 = 3;

/// A byte stream to a gateway.
pub trait BusStream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> BusStream for S {}

/// What a dial gives.
pub type Dialled = Pin<Box<dyn Future<Output = io::Result<Box<dyn BusStream>>>>>;

/// Opens connections to one gateway; tests dial in memory.
pub trait Dial {
    /// Opens one connection.
    fn dial(&self) -> Dialled;

    /// What is dialled, for log lines.
    fn target(&self) -> String;
}

/// Dials over TCP. The name is resolved at each dial, so that a gateway may move.
///
/// It holds a file number in reserve: a crowd at the doors must not keep the house from its bus.
#[derive(Clone, Debug)]
pub struct TcpDial {
    host: String,
    port: u16,
    reserve: Rc<Reserve>,
}

/// One file number, held by an open file that is of no other use.
#[derive(Debug, Default)]
struct Reserve(RefCell<Option<File>>);

impl Reserve {
    /// Takes the number, if there is one left.
    fn hold(&self) {
        let mut held = self.0.borrow_mut();
        if held.is_none() {
            *held = File::open("/dev/null").ok();
        }
    }

    /// Gives it up for somebody who asks in the same turn; false when there is none.
    fn give(&self) -> bool {
        self.0.borrow_mut().take().is_some()
    }
}

/// A connection whose file number goes back to the reserve at its end, before anybody else can take it.
struct Line {
    /// Some until the end.
    stream: Option<TcpStream>,
    reserve: Rc<Reserve>,
}

impl Line {
    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.stream.take());
        self.reserve.hold();
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// No file number is left, to this process or to the machine.
fn is_out_of_files(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

impl TcpDial {
    /// Dials this host, a name or an address, on this port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, reserve: Rc::default() }
    }
}

impl Dial for TcpDial {
    fn dial(&self) -> Dialled {
        let (address, reserve) = ((self.host.clone(), self.port), self.reserve.clone());
        Box::pin(async move {
            reserve.hold();
            let connect = || tokio::time::timeout(DIAL_WITHIN, TcpStream::connect(address.clone()));
            let mut dialled = connect().await;
            if let Ok(Err(error)) = &dialled
                && is_out_of_files(error)
                && reserve.give()
            {
                dialled = connect().await;
            }
            let stream = dialled.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            stream.set_nodelay(true)?;
            let keep_alive = socket2::TcpKeepalive::new()
                .with_time(KEEP_ALIVE_AFTER)
                .with_interval(KEEP_ALIVE_EVERY)
                .with_retries(KEEP_ALIVE_RETRIES);
            socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
            Ok(Box::new(Line { stream: Some(stream), reserve }) as Box<dyn BusStream>)
        })
    }

    fn target(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Something heard on the bus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A telegram.
    Telegram(Telegram),
    /// Bytes that are none.
    Noise {
        /// The beginning of the bytes.
        bytes: Vec<u8>,
        /// How many there were in all.
        total: usize,
        /// What is wrong with them.
        why: NoiseCause,
    },
}

/// Decodes the bytes of one connection; a new connection gets a new decoder, so that no partial frame outlives
/// its connection.
#[derive(Debug, Default)]
pub struct BusDecoder {
    splitter: Splitter,
}

impl Decoder for BusDecoder {
    type Item = Heard;
    // Only the socket can fail: an error would end the stream, and bad telegrams must not.
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Heard>, io::Error> {
        let mut rest = &bytes[..];
        let heard = self.splitter.next_piece(&mut rest).map(|piece| match piece {
            Piece::Frame(frame) => {
                if let Ok(telegram) = Telegram::parse(frame) {
                    Heard::Telegram(telegram)
                } else {
                    let bytes = frame.payload().to_vec();
                    Heard::Noise { total: bytes.len() + 4, bytes, why: NoiseCause::Grammar }
                }
            }
            Piece::Noise(noise) => {
                Heard::Noise { bytes: noise.bytes.to_vec(), total: noise.total, why: noise.why }
            }
        });
        let left = rest.len();
        bytes.advance(bytes.len() - left);
        Ok(heard)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Heard>, io::Error> {
        if let Some(heard) = self.decode(bytes)? {
            return Ok(Some(heard));
        }
        Ok(self.splitter.finish().map(|noise| Heard::Noise {
            bytes: noise.bytes.to_vec(),
            total: noise.total,
            why: noise.why,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_and_merged_segments_give_the_same_telegrams_and_noise_does_not_end_the_stream() {
        let wire = b"<E07L06I80MAE>\nxx<R0012345008F18DFA><E07L06I80MAF><E07L06I80B";
        for size in [1, 3, 7, wire.len()] {
            let mut decoder = BusDecoder::default();
            let mut buffer = BytesMut::new();
            let mut heard = vec![];
            for chunk in wire.chunks(size) {
                buffer.extend_from_slice(chunk);
                while let Some(one) = decoder.decode(&mut buffer).unwrap() {
                    heard.push(one);
                }
            }
            while let Some(one) = decoder.decode_eof(&mut buffer).unwrap() {
                heard.push(one);
            }
            let kinds: Vec<String> = heard
                .iter()
                .map(|one| match one {
                    Heard::Telegram(telegram) => telegram.to_string(),
                    Heard::Noise { why, total, .. } => format!("{why:?} {total}"),
                })
                .collect();
            let expected =
                ["<E07L06I80MAE>", "Framing 2", "<R0012345008F18DFA>", "Checksum 14", "Framing 11"];
            assert_eq!(kinds, expected, "chunks of {size}");
        }
    }
}

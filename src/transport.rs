//! The way to a gateway: dialling, and the decoder between bytes and telegrams.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
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
#[derive(Clone, Debug)]
pub struct TcpDial {
    host: String,
    port: u16,
}

impl TcpDial {
    /// Dials this host, a name or an address, on this port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl Dial for TcpDial {
    fn dial(&self) -> Dialled {
        let address = (self.host.clone(), self.port);
        Box::pin(async move {
            let dialled = tokio::time::timeout(DIAL_WITHIN, TcpStream::connect(address)).await;
            let stream = dialled.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            stream.set_nodelay(true)?;
            let keep_alive = socket2::TcpKeepalive::new()
                .with_time(KEEP_ALIVE_AFTER)
                .with_interval(KEEP_ALIVE_EVERY)
                .with_retries(KEEP_ALIVE_RETRIES);
            socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
            Ok(Box::new(stream) as Box<dyn BusStream>)
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

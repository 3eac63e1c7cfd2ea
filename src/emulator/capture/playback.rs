//! The RX side of a capture, played to a client again.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Capture, Direction};

/// How many times faster than it was a capture is played.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Speed(f64);

impl Speed {
    /// As fast as it was.
    pub const REAL: Self = Self(1.0);

    /// A speed; `None` when it is not a positive number.
    pub fn new(times: f64) -> Option<Self> {
        (times.is_finite() && times > 0.0).then_some(Self(times))
    }
}

/// What is still to be played; the first telegram of the capture, whoever sent it, stands at time zero.
#[derive(Clone, Debug)]
pub struct Playback {
    heard: std::vec::IntoIter<(Duration, Vec<u8>)>,
}

impl Playback {
    /// The RX side of a capture at a speed.
    pub fn new(capture: &Capture, speed: Speed) -> Self {
        let begin = capture.begin();
        let heard = capture.rows().iter().filter(|row| row.direction == Direction::ToClient);
        let heard: Vec<(Duration, Vec<u8>)> =
            heard.map(|row| (row.at.saturating_sub(begin).div_f64(speed.0), row.bytes.clone())).collect();
        Self { heard: heard.into_iter() }
    }

    /// When the next telegram is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.heard.as_slice().first().map(|(at, _)| *at)
    }

    /// The bytes that are due until now.
    pub fn due(&mut self, now: Duration) -> Vec<u8> {
        let count = self.heard.as_slice().iter().take_while(|(at, _)| *at <= now).count();
        self.heard.by_ref().take(count).flat_map(|(_, bytes)| bytes).collect()
    }
}

/// Plays to one client until it leaves; what it sends is read and ignored.
pub async fn play(stream: impl AsyncRead + AsyncWrite, mut playback: Playback) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let start = Instant::now();
    let mut ignored = [0; 1024];
    loop {
        let due = playback.next_due().map(|due| start + due);
        tokio::select! {
            count = reader.read(&mut ignored) => {
                if count? == 0 {
                    return Ok(());
                }
            }
            () = sleep_until(due.unwrap_or(start)), if due.is_some() => {
                writer.write_all(&playback.due(start.elapsed())).await?;
            }
        }
    }
}

/// Plays a capture to every client that connects, from its beginning, one client at a time.
pub async fn replay(listener: TcpListener, capture: Capture, speed: Speed) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut playing = std::pin::pin!(play(stream, Playback::new(&capture, speed)));
                loop {
                    tokio::select! {
                        ended = &mut playing => {
                            if let Err(error) = ended {
                                log::debug!(target: "emulator", "a client of the replay ended error={error}");
                            }
                            break;
                        }
                        // Whoever else comes is closed at once, as the gateway does.
                        other = listener.accept() => drop(other),
                    }
                }
            }
            Err(error) => {
                log::warn!(target: "emulator", "a client could not be accepted error={error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

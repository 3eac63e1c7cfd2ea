//! A HomeKit controller that is already paired: sessions over which it asks and hears, encrypted or plain.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde_json::Value;
use sha2::Sha512;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plain bytes of one sealed piece, and what surrounds them: the length before, the tag after.
const PIECE_BYTES: usize = 1024;
const LENGTH_BYTES: usize = 2;
const TAG_BYTES: usize = 16;

/// Types of values in the messages of a pairing.
mod kind {
    pub(super) const IDENTIFIER: u8 = 1;
    pub(super) const PUBLIC_KEY: u8 = 3;
    pub(super) const ENCRYPTED: u8 = 5;
    pub(super) const STATE: u8 = 6;
    pub(super) const ERROR: u8 = 7;
    pub(super) const SIGNATURE: u8 = 10;
}

/// The keys of a controller that a bridge knows.
#[derive(Clone)]
pub(crate) struct Pairing {
    id: String,
    key: SigningKey,
}

impl Pairing {
    /// From the words of `aiohomekit`.
    pub(crate) fn read(said: &Value) -> Option<Self> {
        let hex = said["iOSDeviceLTSK"].as_str()?;
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok())
            .collect::<Option<_>>()?;
        let secret: [u8; 32] = bytes.get(..32)?.try_into().ok()?;
        Some(Self { id: said["iOSPairingId"].as_str()?.to_owned(), key: SigningKey::from_bytes(&secret) })
    }
}

/// A message of a bridge.
struct Message {
    is_event: bool,
    body: Vec<u8>,
}

/// One direction of a session.
struct Cipher {
    cipher: LessSafeKey,
    count: u64,
}

impl Cipher {
    fn new(shared: &[u8], purpose: &str) -> Self {
        let key = derive(shared, "Control-Salt", purpose);
        Self { cipher: cipher(&key), count: 0 }
    }

    fn next(&mut self) -> Nonce {
        let nonce = nonce(self.count.to_le_bytes());
        self.count += 1;
        nonce
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + 64);
        for piece in plain.chunks(PIECE_BYTES) {
            let length = (piece.len() as u16).to_le_bytes();
            let nonce = self.next();
            sealed.extend_from_slice(&length);
            let from = sealed.len();
            sealed.extend_from_slice(piece);
            let tag = self.cipher.seal_in_place_separate_tag(nonce, Aad::from(length), &mut sealed[from..]);
            sealed.extend_from_slice(tag.unwrap().as_ref());
        }
        sealed
    }

    /// Opens whole pieces and leaves the rest of the last one.
    fn open(&mut self, waiting: &mut Vec<u8>, plain: &mut Vec<u8>) {
        let mut begin = 0;
        while let Some(&[low, high]) = waiting.get(begin..begin + LENGTH_BYTES) {
            let end = begin + LENGTH_BYTES + usize::from(u16::from_le_bytes([low, high])) + TAG_BYTES;
            let Some(body) = waiting.get_mut(begin + LENGTH_BYTES..end) else { break };
            let nonce = self.next();
            let opened = self.cipher.open_in_place(nonce, Aad::from([low, high]), body);
            plain.extend_from_slice(opened.expect("the bridge seals with the session's key"));
            begin = end;
        }
        waiting.drain(..begin);
    }
}

/// A connection to a bridge.
pub(crate) struct Session {
    stream: TcpStream,
    sealed: Option<(Cipher, Cipher)>,
    waiting: Vec<u8>,
    plain: Vec<u8>,
    events: VecDeque<Vec<u8>>,
}

impl Session {
    /// A connection without encryption, to something that only looks like a bridge.
    pub(crate) fn plain(at: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (waiting, plain, events) = (Vec::new(), Vec::new(), VecDeque::new());
        Ok(Self { stream, sealed: None, waiting, plain, events })
    }

    /// A session with a bridge; the reason when the bridge does not want it.
    pub(crate) fn open(at: SocketAddr, pairing: &Pairing) -> Result<Self, String> {
        let mut session = Self::plain(at).map_err(|error| error.to_string())?;
        let secret = [0x44; 32];
        let ours = MontgomeryPoint::mul_base_clamped(secret).to_bytes();
        let m2 = session.exchange(&tlv(&[(kind::STATE, &[1]), (kind::PUBLIC_KEY, &ours)]))?;
        let theirs: [u8; 32] =
            value(&m2, kind::PUBLIC_KEY).and_then(|key| key.try_into().ok()).ok_or("no key came back")?;
        let shared = MontgomeryPoint(theirs).mul_clamped(secret).to_bytes();
        let id = pairing.id.as_bytes();
        let signature = pairing.key.sign(&[&ours[..], id, &theirs].concat()).to_bytes();
        let inner = tlv(&[(kind::IDENTIFIER, id), (kind::SIGNATURE, &signature)]);
        let key = derive(&shared, "Pair-Verify-Encrypt-Salt", "Pair-Verify-Encrypt-Info");
        let mut sealed = inner;
        let tag = cipher(&key).seal_in_place_separate_tag(nonce(*b"PV-Msg03"), Aad::empty(), &mut sealed);
        sealed.extend_from_slice(tag.unwrap().as_ref());
        session.exchange(&tlv(&[(kind::STATE, &[3]), (kind::ENCRYPTED, &sealed)]))?;
        session.sealed = Some((
            Cipher::new(&shared, "Control-Write-Encryption-Key"),
            Cipher::new(&shared, "Control-Read-Encryption-Key"),
        ));
        Ok(session)
    }

    /// One step of the handshake.
    fn exchange(&mut self, body: &[u8]) -> Result<Vec<u8>, String> {
        let answer = self.ask("POST /pair-verify", "application/pairing+tlv8", body)?;
        match value(&answer, kind::ERROR) {
            None => Ok(answer),
            Some(error) => Err(format!("the bridge refuses the session with {error:?}")),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: bridge\r\n\r\n").as_bytes())?;
        self.answer()
    }

    /// Writes characteristics: values, or whether events are wanted.
    pub(crate) fn put(&mut self, entries: &Value) -> Result<Vec<u8>, String> {
        let body = serde_json::json!({ "characteristics": entries }).to_string();
        self.ask("PUT /characteristics", "application/hap+json", body.as_bytes())
    }

    fn ask(&mut self, what: &str, form: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        let length = body.len();
        let head = format!(
            "{what} HTTP/1.1\r\nHost: bridge\r\nContent-Type: {form}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body].concat())?;
        self.answer()
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), String> {
        let sealed = self.sealed.as_mut().map(|(write, _)| write.seal(plain));
        self.stream.write_all(sealed.as_deref().unwrap_or(plain)).map_err(|error| error.to_string())
    }

    fn answer(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let message = self.receive()?;
            if message.is_event {
                self.events.push_back(message.body);
            } else {
                return Ok(message.body);
            }
        }
    }

    /// The next event; none when it does not come in time.
    pub(crate) fn event(&mut self, within: Duration) -> Option<Vec<u8>> {
        if self.events.is_empty() {
            self.stream.set_read_timeout(Some(within)).unwrap();
            let message = self.receive();
            self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            self.events.push_back(message.ok().filter(|message| message.is_event)?.body);
        }
        self.events.pop_front()
    }

    fn receive(&mut self) -> Result<Message, String> {
        loop {
            if let Some(message) = self.parse()? {
                return Ok(message);
            }
            let mut buffer = [0; 16 * 1024];
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the bridge has closed".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            if let Some((_, read)) = &mut self.sealed {
                self.waiting.extend_from_slice(&buffer[..count]);
                read.open(&mut self.waiting, &mut self.plain);
            } else {
                self.plain.extend_from_slice(&buffer[..count]);
            }
        }
    }

    /// The message at the front, once it is whole.
    fn parse(&mut self) -> Result<Option<Message>, String> {
        let Some(head) = memchr::memmem::find(&self.plain, b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&self.plain[..head]).to_ascii_lowercase();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if !text.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
            return Err(format!("the bridge answers {}", text.lines().next().unwrap_or_default()));
        }
        let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
        let (body, end) = if field("transfer-encoding:") == Some("chunked") {
            let Some((body, end)) = chunks(&self.plain, head) else { return Ok(None) };
            (body, end)
        } else {
            let end = head + length.unwrap_or(0);
            let Some(body) = self.plain.get(head..end) else { return Ok(None) };
            (body.to_vec(), end)
        };
        let is_event = text.starts_with("event");
        self.plain.drain(..end);
        Ok(Some(Message { is_event, body }))
    }
}

/// A body in chunks and where it ends, once the last one is there.
fn chunks(plain: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let line = at + memchr::memmem::find(plain.get(at..)?, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&plain[at..line]).ok()?.trim(), 16).ok()?;
        let end = line + 2 + size;
        plain.get(end..end + 2)?;
        if size == 0 {
            return Some((body, end + 2));
        }
        body.extend_from_slice(&plain[line + 2..end]);
        at = end + 2;
    }
}

fn nonce(last: [u8; 8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&last);
    Nonce::assume_unique_for_key(nonce)
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap())
}

fn derive(secret: &[u8], salt: &str, purpose: &str) -> [u8; 32] {
    let mac = |key: &[u8], parts: &[&[u8]]| -> [u8; 64] {
        let mut hmac = Hmac::<Sha512>::new_from_slice(key).unwrap();
        for part in parts {
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    };
    let extracted = mac(salt.as_bytes(), &[secret]);
    let expanded = mac(&extracted, &[purpose.as_bytes(), &[1]]);
    expanded[..32].try_into().unwrap()
}

/// Values of less than 256 bytes, each with its type and length.
fn tlv(values: &[(u8, &[u8])]) -> Vec<u8> {
    values.iter().flat_map(|(kind, value)| [&[*kind, value.len() as u8], *value].concat()).collect()
}

fn value(mut tlv: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = tlv {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        tlv = after;
    }
    None
}

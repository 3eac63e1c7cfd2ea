//! A controller: the other side of everything, written for tests.

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::doors::homekit::keys::{Identity, derive, exchange, exchange_public, seal};
use crate::doors::homekit::record::{Opener, Sealer};
use crate::doors::homekit::srp::tests::Client;
use crate::doors::homekit::tlv::{Tlv, kind};

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    /// `HTTP/1.1` or `EVENT/1.0`.
    pub(super) protocol: String,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    pub(super) fn tlv(&self) -> Tlv {
        assert_eq!(self.status, 200);
        Tlv::parse(&self.body).unwrap()
    }
}

pub(super) struct Phone {
    name: String,
    pub(super) stream: DuplexStream,
    sealed: Option<(Opener, Sealer)>,
    plain: Vec<u8>,
}

impl Phone {
    pub(super) fn new(name: &str, stream: DuplexStream) -> Self {
        Self { name: name.into(), stream, sealed: None, plain: Vec::new() }
    }

    /// The keys that this name has.
    pub(super) fn identity(&self) -> Identity {
        Identity::new(String::new(), &[self.name.len() as u8; 32])
    }

    pub(super) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(super) async fn send(&mut self, text: &[u8]) {
        let sealed = self.sealed.as_mut().map(|(_, sealer)| sealer.seal(text));
        self.send_raw(sealed.as_deref().unwrap_or(text)).await;
    }

    /// Sends one whose last byte somebody has changed on the way.
    pub(super) async fn send_tampered(&mut self, text: &[u8]) {
        let (_, sealer) = self.sealed.as_mut().expect("a session");
        let mut bytes = sealer.seal(text);
        *bytes.last_mut().unwrap() ^= 1;
        self.send_raw(&bytes).await;
    }

    /// Sends the same bytes twice, as somebody would who has heard them.
    pub(super) async fn send_twice(&mut self, text: &[u8]) {
        let (_, sealer) = self.sealed.as_mut().expect("a session");
        let bytes = sealer.seal(text);
        self.send_raw(&bytes.repeat(2)).await;
    }

    /// The next message; `None` when the bridge has closed.
    pub(super) async fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.parse() {
                return Some(message);
            }
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).await.unwrap_or(0);
            if length == 0 {
                return None;
            }
            let arrived = &buffer[..length];
            match &mut self.sealed {
                Some((opener, _)) => self.plain.extend(opener.open(arrived).unwrap()),
                None => self.plain.extend_from_slice(arrived),
            }
        }
    }

    fn parse(&mut self) -> Option<Message> {
        let head = self.plain.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let text = String::from_utf8(self.plain[..head].to_vec()).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let end = head + length.map_or(0, |length| length.parse().unwrap());
        let body = self.plain.get(head..end)?.to_vec();
        let mut words = text.split(' ');
        let (protocol, status) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        self.plain.drain(..end);
        Some(Message { protocol, status, body })
    }

    pub(super) async fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Message {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat()).await;
        self.receive().await.expect("the bridge closed instead of answering")
    }

    pub(super) async fn get(&mut self, path: &str) -> Message {
        self.request("GET", path, b"").await
    }

    pub(super) async fn put(&mut self, entries: Json) -> Message {
        let body = serde_json::json!({ "characteristics": entries }).to_string();
        self.request("PUT", "/characteristics", body.as_bytes()).await
    }

    pub(super) async fn tlv(&mut self, path: &str, request: &Tlv) -> Tlv {
        self.request("POST", path, &request.encode()).await.tlv()
    }

    /// The first step of pairing; its error.
    pub(super) async fn begins_to_pair(&mut self) -> Result<(), (u8, u8)> {
        ok(self.tlv("/pair-setup", &Tlv::state(1).with(kind::METHOD, &[0])).await).map(|_| ())
    }

    /// Pairs; the error of the step that failed.
    pub(super) async fn pair(&mut self, code: &str) -> Result<(), (u8, u8)> {
        let m2 = ok(self.tlv("/pair-setup", &Tlv::state(1).with(kind::METHOD, &[0])).await)?;
        let client = Client::new(self.name.len() as u64 + 1000);
        let (salt, public) = (m2.get(kind::SALT).unwrap(), m2.get(kind::PUBLIC_KEY).unwrap());
        let (secret, proof) = client.prove(code, salt, public, false);
        let m3 = Tlv::state(3).with(kind::PUBLIC_KEY, &client.public()).with(kind::PROOF, &proof);
        ok(self.tlv("/pair-setup", &m3).await)?;
        let (id, public) = (self.name.as_bytes(), self.identity().public());
        let claim = derive(&secret, "Pair-Setup-Controller-Sign-Salt", "Pair-Setup-Controller-Sign-Info");
        let inner = Tlv::default()
            .with(kind::IDENTIFIER, id)
            .with(kind::PUBLIC_KEY, &public)
            .with(kind::SIGNATURE, &self.identity().sign(&[&claim[..], id, &public].concat()));
        let key = derive(&secret, "Pair-Setup-Encrypt-Salt", "Pair-Setup-Encrypt-Info");
        let m5 = Tlv::state(5).with(kind::ENCRYPTED, &seal(&key, *b"PS-Msg05", &inner.encode()));
        ok(self.tlv("/pair-setup", &m5).await).map(|_| ())
    }

    /// Opens a session; the error of the step that failed.
    pub(super) async fn verify(&mut self) -> Result<(), (u8, u8)> {
        let secret = [0x44; 32];
        let m1 = Tlv::state(1).with(kind::PUBLIC_KEY, &exchange_public(secret));
        let m2 = ok(self.tlv("/pair-verify", &m1).await)?;
        let theirs: [u8; 32] = m2.get(kind::PUBLIC_KEY).unwrap().try_into().unwrap();
        let shared = exchange(secret, theirs).unwrap();
        let id = self.name.as_bytes();
        let signature = self.identity().sign(&[&exchange_public(secret)[..], id, &theirs].concat());
        let inner = Tlv::default().with(kind::IDENTIFIER, id).with(kind::SIGNATURE, &signature);
        let key = derive(&shared, "Pair-Verify-Encrypt-Salt", "Pair-Verify-Encrypt-Info");
        let m3 = Tlv::state(3).with(kind::ENCRYPTED, &seal(&key, *b"PV-Msg03", &inner.encode()));
        ok(self.tlv("/pair-verify", &m3).await)?;
        let ours = derive(&shared, "Control-Salt", "Control-Write-Encryption-Key");
        let theirs = derive(&shared, "Control-Salt", "Control-Read-Encryption-Key");
        self.sealed = Some((Opener::new(&theirs), Sealer::new(&ours)));
        Ok(())
    }
}

fn ok(reply: Tlv) -> Result<Tlv, (u8, u8)> {
    match reply.byte(kind::ERROR) {
        Some(error) => Err((reply.byte(kind::STATE).unwrap(), error)),
        None => Ok(reply),
    }
}

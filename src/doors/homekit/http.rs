//! HTTP as controllers speak it: requests out of bytes, answers and events into bytes. Everything has a limit.

/// Beyond it a head is refused.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Beyond it a body is refused.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the head of an answer comes to.
const HEAD_BYTES: usize = 96;

/// More header lines than any controller sends.
const HEADERS_MAX: usize = 32;

/// What a request wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// Read.
    Get,
    /// Write.
    Put,
    /// Talk.
    Post,
    /// Anything else; nothing here knows it.
    Other,
}

/// One whole request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// What it wants.
    pub(super) method: Method,
    /// Of what, without the query.
    pub(super) path: String,
    /// The part behind `?`.
    pub(super) query: String,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Why bytes are no request; the connection cannot go on behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// Not HTTP, or of no known length.
    Malformed,
    /// The head is too long.
    HeadTooLong,
    /// The body is too long.
    BodyTooLong,
}

impl Unreadable {
    /// The status of the answer.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::HeadTooLong => 431,
            Self::BodyTooLong => 413,
        }
    }
}

struct Head {
    request: Request,
    length: usize,
    body_length: usize,
}

/// Collects bytes until they are a request.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Vec<u8>,
    head: Option<Head>,
}

impl Inbox {
    /// Takes what arrived.
    pub(super) fn push(&mut self, arrived: &[u8]) {
        self.waiting.extend_from_slice(arrived);
    }

    /// Whether part of a request is here.
    pub(super) fn is_partial(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many bytes wait for the rest of their request.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// What lies behind the last request.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.head = None;
        std::mem::take(&mut self.waiting)
    }

    /// The next whole request, if it is here.
    pub(super) fn next(&mut self) -> Result<Option<Request>, Unreadable> {
        if self.waiting.is_empty() {
            return Ok(None);
        }
        if self.head.is_none() {
            self.head = parse_head(&self.waiting)?;
        }
        let whole = |head: &mut Head| self.waiting.len() >= head.length + head.body_length;
        let Some(head) = self.head.take_if(whole) else { return Ok(None) };
        let mut request = head.request;
        request.body = self.waiting[head.length..head.length + head.body_length].to_vec();
        self.waiting.drain(..head.length + head.body_length);
        Ok(Some(request))
    }
}

fn parse_head(text: &[u8]) -> Result<Option<Head>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(&text[..text.len().min(HEAD_BYTES_MAX)]) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if text.len() >= HEAD_BYTES_MAX => return Err(Unreadable::HeadTooLong),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Unreadable::HeadTooLong),
        Err(_) => return Err(Unreadable::Malformed),
    };
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("PUT") => Method::Put,
        Some("POST") => Method::Post,
        _ => Method::Other,
    };
    let (path, query) = parsed.path.map_or(("", ""), |path| path.split_once('?').unwrap_or((path, "")));
    let request = Request { method, path: path.into(), query: query.into(), body: Vec::new() };
    Ok(Some(Head { request, length, body_length: body_length(parsed.headers)? }))
}

/// The length that all its lines agree on; a body in chunks has none.
fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize, Unreadable> {
    let mut length = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Unreadable::Malformed);
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            // Digits alone: `+5` and ` 5,5` are numbers to some and not to others.
            let digits = Some(header.value).filter(|value| value.iter().all(u8::is_ascii_digit));
            let value = digits.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            let value: usize = value.ok_or(Unreadable::Malformed)?;
            if *length.get_or_insert(value) != value {
                return Err(Unreadable::Malformed);
            }
        }
    }
    let length = length.unwrap_or(0);
    if length > BODY_BYTES_MAX { Err(Unreadable::BodyTooLong) } else { Ok(length) }
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// JSON.
    Json,
    /// TLV8.
    Pairing,
}

impl Content {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "application/hap+json",
            Self::Pairing => "application/pairing+tlv8",
        }
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// Its body, if it has one.
    pub(super) body: Option<(Content, Vec<u8>)>,
}

impl Answer {
    /// An answer without a body.
    pub(super) fn bare(status: u16) -> Self {
        Self { status, body: None }
    }

    /// An answer in JSON.
    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: Some((Content::Json, body.into())) }
    }

    /// An answer in TLV8.
    pub(super) fn pairing(body: Vec<u8>) -> Self {
        Self { status: 200, body: Some((Content::Pairing, body)) }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        message("HTTP/1.1", self.status, self.body.as_ref().map(|(content, body)| (*content, &body[..])))
    }
}

/// The bytes of an event.
pub(super) fn event(body: &[u8]) -> Vec<u8> {
    message("EVENT/1.0", 200, Some((Content::Json, body)))
}

fn message(protocol: &str, status: u16, body: Option<(Content, &[u8])>) -> Vec<u8> {
    let (content, body) = body.map_or((None, &[][..]), |(content, body)| (Some(content), body));
    let mut message = Vec::with_capacity(HEAD_BYTES + body.len());
    let mut say = |words: &[&str]| words.iter().for_each(|word| message.extend_from_slice(word.as_bytes()));
    say(&[protocol, " ", &status.to_string(), " ", reason(status), "\r\n"]);
    if let Some(content) = content {
        say(&["Content-Type: ", content.name(), "\r\n"]);
    }
    // 204 has no body by its number; others must say so, or their reader would wait for the end.
    if content.is_some() || status != 204 {
        say(&["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    say(&["\r\n"]);
    message.extend_from_slice(body);
    message
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        207 => "Multi-Status",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        470 => "Connection Authorization Required",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUT: &[u8] = b"PUT /characteristics?x=1 HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\n{\"\"}";

    fn only(text: &[u8]) -> Result<Option<Request>, Unreadable> {
        let mut inbox = Inbox::default();
        inbox.push(text);
        inbox.next()
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_requests(cut in 1usize..200) {
            let text = [PUT, b"GET /accessories HTTP/1.1\r\n\r\n", PUT].concat();
            let (mut inbox, mut paths) = (Inbox::default(), vec![]);
            for segment in text.chunks(cut) {
                inbox.push(segment);
                while let Some(request) = inbox.next().unwrap() {
                    paths.push(request.path);
                }
            }
            prop_assert_eq!(paths, ["/characteristics", "/accessories", "/characteristics"]);
            prop_assert!(!inbox.is_partial());
        }

        #[test]
        fn no_bytes_break_it(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = only(&text);
        }
    }

    #[test]
    fn a_request_is_read() {
        let request = only(PUT).unwrap().unwrap();
        assert_eq!((request.method, request.query.as_str()), (Method::Put, "x=1"));
        assert_eq!(request.body, b"{\"\"}");
    }

    #[test]
    fn what_has_no_length_or_too_much_is_refused() {
        let with = |line: &str| only(format!("POST /pairings HTTP/1.1\r\n{line}\r\n\r\n").as_bytes());
        for line in [
            "Transfer-Encoding: chunked",
            "Content-Length: -1",
            "Content-Length: +4",
            "Content-Length: 4, 4",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 99999999999999999999999",
            "Content-Length",
        ] {
            assert_eq!(with(line), Err(Unreadable::Malformed), "{line}");
        }
        assert_eq!(with("Content-Length: 65537"), Err(Unreadable::BodyTooLong));
        assert_eq!(with(&"X: y\r\n".repeat(40)), Err(Unreadable::HeadTooLong));
        assert_eq!(with(&format!("X: {}", "y".repeat(17_000))), Err(Unreadable::HeadTooLong));
        assert_eq!(only(&vec![b'G'; 20_000]), Err(Unreadable::HeadTooLong));
        assert_eq!(only(b"\x16\x03\x01\x02\x00"), Err(Unreadable::Malformed));
    }

    #[test]
    fn answers_and_events_say_how_long_they_are() {
        assert_eq!(Answer::bare(204).bytes(), b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(Answer::bare(404).bytes(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let event = String::from_utf8(event(b"{}")).unwrap();
        assert!(event.starts_with("EVENT/1.0 200 OK\r\n") && event.ends_with("Content-Length: 2\r\n\r\n{}"));
    }
}

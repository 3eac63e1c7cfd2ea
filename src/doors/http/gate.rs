//! Who may ask what: the names in `Host` and `Origin`, and the token. Pure.
//!
//! A page of a stranger's site can make a browser in this house connect to the daemon under a name of its own
//! (DNS rebinding), and the connection then comes from loopback. Only the name gives it away.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use subtle::ConstantTimeEq;

use super::Token;
use super::translate::Fault;

/// The path that answers whoever asks: it tells nothing but that the daemon runs.
pub(super) const ALIVE: &str = "/livez";

/// Where the page is.
pub(super) const PAGE: &str = "/";

/// Under it are the page's own files, which are the same in every house.
pub(super) const PAGE_FILES: &str = "/page/";

/// Whether a path is answered without a token: it tells nothing of the house.
fn is_open(path: &str) -> bool {
    path == ALIVE || path == PAGE || path.starts_with(PAGE_FILES)
}

/// What is checked of every request before it is looked at.
#[derive(Debug)]
pub(super) struct Gate {
    token: Option<Token>,
    /// The address of a door on loopback; elsewhere no names are checked.
    loopback: Option<String>,
}

/// Why a request is turned away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Denied {
    /// It came for a name that may be a stranger's.
    Name(String),
    /// It has no token.
    NoToken,
    /// Its token is another one.
    WrongToken,
    /// A page of another site wants to change something.
    Origin(String),
}

impl Gate {
    pub(super) fn new(listen: SocketAddr, token: Option<Token>) -> Self {
        // Beyond loopback there is a token, which the stranger's page does not have, and the daemon cannot know
        // all its names.
        Self { token, loopback: listen.ip().to_canonical().is_loopback().then(|| listen.to_string()) }
    }

    pub(super) fn admits(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        if let Some(address) = &self.loopback {
            check_names(uri, headers, address)?;
        }
        if !is_open(uri.path()) {
            self.check_token(headers)?;
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        check_origin(headers)
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let Some(Token(token)) = &self.token else { return Ok(()) };
        let told = headers.get(header::AUTHORIZATION).ok_or(Denied::NoToken)?;
        let right = bearer(told.as_bytes()).is_some_and(|told| told.ct_eq(token.as_bytes()).into());
        if right { Ok(()) } else { Err(Denied::WrongToken) }
    }
}

/// The token of `Bearer abc`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// An address cannot be rebound, and `localhost` is resolved by the browser itself.
fn check_names(uri: &Uri, headers: &HeaderMap, address: &str) -> Result<(), Denied> {
    if let Some(authority) = uri.authority().filter(|authority| !is_own_name(authority.as_str())) {
        return Err(Denied::Name(authority.as_str().into()));
    }
    // Most clients ask at the address itself, which needs no grammar of names.
    for host in headers.get_all(header::HOST).iter().filter(|host| *host != address) {
        if !host.to_str().is_ok_and(is_own_name) {
            return Err(Denied::Name(host.to_str().unwrap_or("?").into()));
        }
    }
    Ok(())
}

fn is_own_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
}

/// A browser names the site whose page asks; a page of this daemon names the address it was asked at.
fn check_origin(headers: &HeaderMap) -> Result<(), Denied> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let own = site.zip(host).is_some_and(|(site, host)| site.eq_ignore_ascii_case(host));
        if !own {
            return Err(Denied::Origin(origin.into()));
        }
    }
    Ok(())
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Name(name) => Self::new(
                StatusCode::FORBIDDEN,
                "foreign_host",
                format!(
                    "`{name}` is not a name of this machine; ask at its IP address or at `localhost` (a proxy in \
                     between has to send one of these as `Host`)"
                ),
            ),
            Denied::NoToken => Self::new(
                StatusCode::UNAUTHORIZED,
                "no_token",
                "this needs the header `Authorization: Bearer …` with the token of the config's `token_file`",
            ),
            Denied::WrongToken => Self::new(
                StatusCode::UNAUTHORIZED,
                "wrong_token",
                "the token is not the one of the config's `token_file`",
            ),
            Denied::Origin(origin) => Self::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                format!(
                    "a page of `{origin}` may not change anything here; use a page of this daemon, or no browser"
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(listen: &str, token: Option<&str>) -> Gate {
        Gate::new(listen.parse().unwrap(), token.map(|token| Token::new(token.into())))
    }

    fn ask(gate: &Gate, request: &str, headers: &[(&'static str, &str)]) -> Result<(), Denied> {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        gate.admits(&method.parse().unwrap(), &uri.parse().unwrap(), &map)
    }

    #[test]
    fn on_loopback_only_addresses_and_localhost_are_names_of_this_machine() {
        let gate = gate("127.0.0.1:8480", None);
        for host in [
            "127.0.0.1",
            "127.0.0.1:8480",
            "localhost",
            "LocalHost:1",
            "[::1]:8480",
            "[::1]",
            "192.168.1.9:80",
        ] {
            assert_eq!(ask(&gate, "GET /api/accessories", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8480",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a@127.0.0.1",
            "127.0.0.1@evil.example",
            "",
            "::1",
            "[::1",
            "127.1",
        ] {
            let denied = ask(&gate, "GET /livez", &[("host", host)]);
            assert!(matches!(denied, Err(Denied::Name(_))), "{host}: {denied:?}");
        }
        assert_eq!(ask(&gate, "GET /livez", &[]), Ok(()), "HTTP/1.0 names no host, and no browser speaks it");
        let both = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(ask(&gate, "GET /", &both), Err(Denied::Name("evil.example".into())));
        let absolute = ask(&gate, "GET http://evil.example/api", &[("host", "localhost")]);
        assert_eq!(absolute, Err(Denied::Name("evil.example".into())));
    }

    #[test]
    fn beyond_loopback_every_name_is_good_and_the_token_counts() {
        let gate = gate("0.0.0.0:8480", Some("secret"));
        let host = ("host", "home.example");
        assert_eq!(ask(&gate, "GET /api/status", &[host]), Err(Denied::NoToken));
        assert_eq!(ask(&gate, "GET /readyz", &[host]), Err(Denied::NoToken));
        for open in ["/livez", "/", "/page/page.css"] {
            assert_eq!(ask(&gate, &format!("GET {open}"), &[host]), Ok(()), "{open}");
        }
        for closed in ["/page", "//", "/api/homekit", "/page/../api/status/x", "/api/page/"] {
            let denied = ask(&gate, &format!("GET {closed}"), &[host]);
            assert_eq!(denied.is_ok(), closed.starts_with("/page/"), "{closed}: {denied:?}");
        }
        for right in ["Bearer secret", "bearer  secret "] {
            assert_eq!(ask(&gate, "GET /api/events", &[host, ("authorization", right)]), Ok(()), "{right}");
        }
        for wrong in ["Bearer secre", "Bearer secrets", "Basic secret", "secret", "Bearer", ""] {
            let denied = ask(&gate, "GET /api/events", &[host, ("authorization", wrong)]);
            assert_eq!(denied, Err(Denied::WrongToken), "{wrong}");
        }
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let gate = gate("[::1]:8480", None);
        let put = |origin| {
            ask(&gate, "PUT /api/accessories/lamp", &[("host", "localhost:8480"), ("origin", origin)])
        };
        assert_eq!(put("http://localhost:8480"), Ok(()));
        assert_eq!(put("https://LOCALHOST:8480"), Ok(()));
        for foreign in
            ["http://localhost", "http://localhost:3000", "https://evil.example", "null", "localhost:8480"]
        {
            assert_eq!(put(foreign), Err(Denied::Origin(foreign.into())));
        }
        assert_eq!(ask(&gate, "PUT /api/accessories/lamp", &[("host", "localhost:8480")]), Ok(()));
        let read = [("host", "localhost:8480"), ("origin", "http://localhost:3000")];
        assert_eq!(ask(&gate, "GET /api/accessories", &read), Ok(()));
    }

    #[test]
    fn refusals_name_the_remedy_and_never_the_token() {
        let gate = gate("127.0.0.1:1", Some("s3cret"));
        assert!(!format!("{gate:?}").contains("s3cret"));
        for (denied, status) in [
            (Denied::Name("evil.example".into()), 403),
            (Denied::NoToken, 401),
            (Denied::WrongToken, 401),
            (Denied::Origin("null".into()), 403),
        ] {
            assert_eq!(Fault::from(denied).status.as_u16(), status);
        }
        assert!(Fault::from(Denied::Name("evil.example".into())).message.contains("`localhost`"));
    }
}

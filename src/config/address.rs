//! Network addresses as people write them: of gateways and of the MQTT broker.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::report::{Fault, closest, quoted};

/// The port of the bridges as they are delivered (protocol reference 7.1).
const GATEWAY_PORT: u16 = 10001;
/// The word for the built-in emulated gateway.
const EMULATOR: &str = "emulator";
/// The longest name that DNS knows.
const HOST_CHARS_MAX: usize = 253;
/// The longest part of it.
const LABEL_CHARS_MAX: usize = 63;

/// Where a gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayAddress {
    /// In this process: an emulated gateway with the configured modules.
    Emulator,
    /// On the network.
    Remote {
        /// A name or an IP address, IPv6 without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

impl fmt::Display for GatewayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emulator => f.write_str(EMULATOR),
            Self::Remote { host, port } => fmt_host_port(f, host, *port),
        }
    }
}

impl FromStr for GatewayAddress {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text == EMULATOR {
            return Ok(Self::Emulator);
        }
        if let Some((_, rest)) = text.split_once("://") {
            let fault = Fault::new(format!("{} is a web address", quoted(text)));
            return Err(fault.hint(format!("write {}", quoted(rest.trim_end_matches('/')))));
        }
        match split_host_port(text)? {
            (host, Some(port)) => Ok(Self::Remote { host, port }),
            (_, None) if closest(text, [EMULATOR]).is_some() => {
                Err(Fault::new(format!("{} is not an address", quoted(text))).meant(text, [EMULATOR]))
            }
            (_, None) => Err(Fault::new(format!("the address {} lacks its port", quoted(text)))
                .hint(format!("bridges listen on {GATEWAY_PORT}: `{text}:{GATEWAY_PORT}`"))),
        }
    }
}

/// An MQTT broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// A name or an IP address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "mqtts://" } else { "mqtt://" })?;
        fmt_host_port(f, &self.host, self.port)
    }
}

impl FromStr for Broker {
    type Err = Fault;

    /// Reads `mqtt://host[:port]` or `mqtts://host[:port]`.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        if rest.contains('@') {
            // The url itself is not repeated: reports are shown to others.
            return Err(Fault::new("the url holds a name or password")
                .hint("write `user` and `password_file` instead"));
        }
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => {
                let fault = Fault::new(format!("{} is not the url of a broker", quoted(text)));
                return Err(fault.hint("it begins with `mqtt://`, or `mqtts://` when encrypted"));
            }
        };
        let (host, port) = split_host_port(rest.strip_suffix('/').unwrap_or(rest))?;
        Ok(Self { host, port: port.unwrap_or(if tls { 8883 } else { 1883 }), tls })
    }
}

fn fmt_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; the host is a name or an IP address.
fn split_host_port(text: &str) -> Result<(String, Option<u16>), Fault> {
    let not = |what: &str| Fault::new(format!("{} is not {what}", quoted(text)));
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or_else(|| not("an address: its bracket is open"))?;
        let host: Ipv6Addr = host.parse().map_err(|_| not("an address: no IPv6 address is in brackets"))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host.to_string(), Some(parse_port(port)?))),
            None if rest.is_empty() => Ok((host.to_string(), None)),
            None => Err(not("an address").hint("after the bracket comes `:` and the port")),
        };
    }
    if let Ok(host) = text.parse::<Ipv6Addr>() {
        let fault = not("an address: IPv6 stands in brackets");
        return Err(fault.hint(format!("such as `[{host}]:{GATEWAY_PORT}`")));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (text, None),
    };
    if !is_host(host) {
        return Err(not("an address").hint("a name or an IP address, `:` and the port: `192.168.1.17:10001`"));
    }
    Ok((host.into(), port))
}

fn parse_port(text: &str) -> Result<u16, Fault> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| Fault::new(format!("{} is not a port", quoted(text))).hint("from `1` to `65535`"))
}

/// Whether this is a DNS name or an IPv4 address.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !bytes.is_empty() && bytes.len() <= LABEL_CHARS_MAX && bytes.iter().all(inner) && bytes[0] != b'-'
    };
    // Digits and dots alone are meant to be IPv4; as a name they would only fail later.
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= HOST_CHARS_MAX && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
}

impl GatewayAddress {
    /// The IP address, when it was written as one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Emulator => None,
            Self::Remote { host, .. } => host.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in
            ["emulator", "192.168.1.17:10001", "xp230-0012345001.local:10001", "[fe80::1]:10001", "a:1"]
        {
            assert_eq!(text.parse::<GatewayAddress>().unwrap().to_string(), text);
        }
        for text in ["mqtt://127.0.0.1:1883", "mqtts://broker.local:8883", "mqtt://[::1]:1884"] {
            assert_eq!(text.parse::<Broker>().unwrap().to_string(), text);
        }
        assert_eq!("mqtts://broker/".parse::<Broker>().unwrap().to_string(), "mqtts://broker:8883");
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_a_hint() {
        for (text, word) in [
            ("", "not an address"),
            ("emulater", "did you mean `emulator`"),
            ("Emulator", "did you mean `emulator`"),
            ("192.168.1.17", "`192.168.1.17:10001`"),
            ("192.168.1.300:10001", "not an address"),
            ("host:0", "not a port"),
            ("host:65536", "not a port"),
            ("host:+1", "not a port"),
            ("host:", "not a port"),
            ("fe80::1", "`[fe80::1]:10001`"),
            ("[fe80::1", "bracket is open"),
            ("[gateway]:10001", "no IPv6"),
            ("[::1]10001", "after the bracket"),
            ("tcp://192.168.1.17:10001/", "write `192.168.1.17:10001`"),
            ("my house:10001", "not an address"),
            ("-x:1", "not an address"),
        ] {
            let fault = text.parse::<GatewayAddress>().unwrap_err().to_string();
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }

    #[test]
    fn a_password_in_an_url_is_not_repeated() {
        let fault = "mqtt://me:secret@broker".parse::<Broker>().unwrap_err().to_string();
        assert!(fault.contains("password_file") && !fault.contains("secret"), "{fault}");
        assert!("http://broker".parse::<Broker>().unwrap_err().to_string().contains("mqtt://"));
    }
}

//! Server-sent events: bytes in, events out. Bounded; what does not fit is left out, never an error.

/// The longest line that is kept. The list that opens the stream may be longer; nobody here reads it.
const LINE_BYTES_MAX: usize = 65_536;

/// The most text of one event, whose lines may be many.
const EVENT_BYTES_MAX: usize = 4 * LINE_BYTES_MAX;

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ServerEvent {
    /// Its name; `message` where the stream gives none.
    pub name: String,
    /// Its text; several lines are joined by line feeds.
    pub data: String,
}

/// Cuts a byte stream into events; how the stream is chopped into reads makes no difference.
#[derive(Default, Debug)]
pub(super) struct EventReader {
    line: Vec<u8>,
    /// The line is longer than is kept.
    overlong: bool,
    /// The last byte was a carriage return; a line feed behind it ends no line of its own.
    after_return: bool,
    name: String,
    data: Option<String>,
    /// A part of this event did not fit, so it will not be given.
    broken: bool,
}

impl EventReader {
    /// Takes bytes from the front of `input` until an event is complete or the input is used up.
    ///
    /// Call it again until it answers `None`: that is when the input is empty.
    pub(super) fn next_event(&mut self, input: &mut &[u8]) -> Option<ServerEvent> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            let ends_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if ends_return => {}
                b'\n' | b'\r' => {
                    if let Some(event) = self.end_line() {
                        return Some(event);
                    }
                }
                _ if self.line.len() < LINE_BYTES_MAX => self.line.push(byte),
                _ => self.overlong = true,
            }
        }
        None
    }

    fn end_line(&mut self) -> Option<ServerEvent> {
        if self.overlong {
            self.overlong = false;
            self.broken = true;
        } else if self.line.is_empty() {
            return self.end_event();
        } else {
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.take_field(&line);
        }
        self.line.clear();
        None
    }

    fn take_field(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                let held = self.data.as_ref().map_or(0, String::len);
                if held + value.len() >= EVENT_BYTES_MAX {
                    self.broken = true;
                } else if let Some(data) = &mut self.data {
                    data.push('\n');
                    data.push_str(value);
                } else {
                    self.data = Some(value.to_owned());
                }
            }
            // A comment (the keep-alive), `id`, `retry` and what is not known.
            _ => {}
        }
    }

    fn end_event(&mut self) -> Option<ServerEvent> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take();
        if std::mem::take(&mut self.broken) {
            return None;
        }
        Some(ServerEvent { name: if name.is_empty() { "message".into() } else { name }, data: data? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = EventReader::default();
        let mut all = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(event) = reader.next_event(&mut input) {
                all.push((event.name, event.data));
            }
            assert!(reader.line.len() <= LINE_BYTES_MAX);
            assert!(reader.data.as_ref().is_none_or(|data| data.len() <= EVENT_BYTES_MAX));
        }
        all
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, data)| (name.to_owned(), data.to_owned())).collect()
    }

    #[test]
    fn names_data_and_comments() {
        let text = b": keep-alive\n\nevent: telegram\ndata: {\"a\":1}\n\ndata:x\ndata\ndata: y\nid: 7\n\n";
        assert_eq!(events(&[text]), pairs(&[("telegram", "{\"a\":1}"), ("message", "x\n\ny")]));
    }

    #[test]
    fn an_event_without_data_or_without_its_end_is_none() {
        assert_eq!(events(&[b"event: telegram\n\ndata: half"]), pairs(&[]));
        assert_eq!(events(&[b"event: link\n\ndata: x\n\n"]), pairs(&[("message", "x")]));
    }

    #[test]
    fn every_line_end_is_taken() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("event: link{end}data: up{end}{end}data: z{end}{end}");
            assert_eq!(events(&[text.as_bytes()]), pairs(&[("link", "up"), ("message", "z")]), "{end:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_left_out_and_the_next_event_is_whole() {
        let long = format!("event: accessories\ndata: {}\n\n", "x".repeat(LINE_BYTES_MAX));
        let many = format!("{}\n", format!("data: {}\n", "y".repeat(1000)).repeat(400));
        let text = format!("{long}{many}event: link\ndata: up\n\n");
        assert_eq!(events(&[text.as_bytes()]), pairs(&[("link", "up")]));
    }

    proptest! {
        #[test]
        fn any_chopping_gives_the_same_events(
            parts in prop::collection::vec(
                prop::sample::select(vec!["event: a", "data: b", "data", ":", "\n", "\r", "\r\n", "\n\n", "\u{fffd}"]),
                0..40,
            ),
            cuts in prop::collection::vec(0usize..400, 0..20),
        ) {
            let text = parts.concat();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&chunks), events(&[bytes]));
        }
    }
}

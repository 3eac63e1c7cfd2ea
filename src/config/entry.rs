//! How a table of the file is read against the list of its keys.
//!
//! The list (`raw.rs`) is the one place where a key is named: it yields the reading, the reports of unknown,
//! missing and mistyped keys, the suggestions and the key list of the tests.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Fault, Report, closest, quoted};

/// A value as it was read.
#[derive(Debug, Default)]
pub(super) enum Entry<T> {
    /// It was not written.
    #[default]
    Absent,
    /// It was written, and what is wrong with it is already reported: nothing may be concluded from it.
    Wrong,
    /// It was written and is good by itself.
    Given(Spanned<T>),
}

impl<T> Entry<T> {
    /// The value with its place.
    pub(super) fn given(&self) -> Option<&Spanned<T>> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// The value.
    pub(super) fn get(&self) -> Option<&T> {
        self.given().map(Spanned::get_ref)
    }

    /// Where the value is; nowhere, at the beginning of the file, when there is none.
    pub(super) fn place(&self) -> Range<usize> {
        self.given().map(Spanned::span).unwrap_or_default()
    }

    /// Whether it was not written at all.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether it was written and is wrong.
    pub(super) fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong)
    }
}

impl<T: Clone> Entry<T> {
    /// The value; the default where it was not written or is wrong.
    pub(super) fn value_or(&self, default: T) -> T {
        self.get().cloned().unwrap_or(default)
    }
}

/// The elements of a list of tables, each with the place of its header.
pub(super) type List<T> = Vec<Spanned<T>>;

/// What a key can hold.
pub(super) trait Kind: Sized {
    /// Reads the value; reports what is wrong with it.
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self>;

    /// What messages call it.
    fn title(key: &str) -> String {
        format!("`{key}`")
    }

    /// Lists the keys at and below this path.
    fn key_paths(path: &str, paths: &mut Vec<String>) {
        paths.push(path.into());
    }

    /// The keys directly in it, each with what messages call it.
    fn titles() -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// A value written in quotes.
pub(super) trait Word: Sized {
    /// What it is, with its article.
    const WHAT: &'static str;
    /// A good one, or several.
    const EXAMPLE: &'static str;

    /// Reads the text between the quotes.
    fn parse(text: &str) -> Result<Self, Fault>;
}

impl<T: Word> Kind for T {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        let place = value.span();
        let fault = match value.get_ref() {
            DeValue::String(text) => match T::parse(text) {
                Ok(word) => return Some(word),
                Err(fault) if fault.has_hint() => fault,
                Err(fault) => fault.hint(format!("such as {}", T::EXAMPLE)),
            },
            other => {
                let typed = report.typed(&place);
                let hint = match T::parse(typed) {
                    Ok(_) => format!("write it in quotes: `\"{typed}\"`"),
                    Err(_) => format!("such as {}", T::EXAMPLE),
                };
                not_a(title, &format!("{} in quotes", T::WHAT), other).hint(hint)
            }
        };
        report.add(&place, fault);
        None
    }
}

impl Kind for bool {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::Boolean(value) = value.get_ref() {
            return Some(*value);
        }
        let fault = not_a(title, "`true` or `false`", value.get_ref());
        let fault = match value.get_ref().as_str() {
            Some(text @ ("true" | "false")) => fault.hint(format!("write it without quotes: `{text}`")),
            _ => fault,
        };
        report.add(&value.span(), fault);
        None
    }
}

impl Kind for i64 {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::Integer(number) = value.get_ref() {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            if read.is_err() {
                report.add(&value.span(), Fault::new(format!("{title} is too large a number")));
            }
            return read.ok();
        }
        report.add(&value.span(), unquoted::<Self>(not_a(title, "a whole number", value.get_ref()), value));
        None
    }
}

impl Kind for f64 {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        let read = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
            }
            other => {
                report.add(&value.span(), unquoted::<Self>(not_a(title, "a number", other), value));
                return None;
            }
        };
        if read.is_none() {
            report.add(&value.span(), Fault::new(format!("{title} is too large a number")));
        }
        read
    }
}

impl<T: Kind> Kind for List<T> {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        let mut read = |element: &Spanned<DeValue<'_>>| {
            Some(Spanned::new(element.span(), T::read(element, title, report)?))
        };
        match value.get_ref() {
            // Every element is read before the first wrong one decides, so that all are reported.
            DeValue::Array(elements) => {
                elements.iter().map(&mut read).collect::<Vec<_>>().into_iter().collect()
            }
            DeValue::Table(_) => {
                let element = read(value);
                let fault =
                    Fault::new(format!("{title} is a list")).hint(format!("write `{title}`, once for each"));
                report.add(&value.span(), fault);
                element.map(|element| vec![element])
            }
            other => {
                report.add(&value.span(), not_a(title, "a list of sections", other));
                None
            }
        }
    }

    fn title(key: &str) -> String {
        format!("[[{key}]]")
    }

    fn key_paths(path: &str, paths: &mut Vec<String>) {
        T::key_paths(path, paths);
    }
}

fn not_a(title: &str, wanted: &str, value: &DeValue<'_>) -> Fault {
    let found = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    };
    Fault::new(format!("{title} must be {wanted}, not {found}"))
}

/// Says that the quotes are the mistake, when they are.
fn unquoted<T: std::str::FromStr>(fault: Fault, value: &Spanned<DeValue<'_>>) -> Fault {
    match value.get_ref().as_str().filter(|text| text.parse::<T>().is_ok()) {
        Some(text) => fault.hint(format!("write it without quotes: `{text}`")),
        None => fault,
    }
}

/// A value that can be printed in a message about its bounds.
pub(super) trait Shown: PartialOrd {
    /// The value as it would be written.
    fn shown(&self) -> String;
}

impl Shown for i64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for f64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

/// One table being read.
pub(super) struct Fields<'a, 'i> {
    table: &'a DeTable<'i>,
    header: Range<usize>,
    title: &'a str,
    /// The keys that a misspelled one stands for: they are not missing.
    meant: Vec<&'static str>,
    report: &'a mut Report,
}

impl<'a, 'i> Fields<'a, 'i> {
    /// Begins to read a table that may hold these keys; reports all others.
    pub(super) fn open(
        value: &'a Spanned<DeValue<'i>>,
        title: &'a str,
        keys: &'static [&'static str],
        report: &'a mut Report,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::of(table, value.span(), title, report).known(keys)),
            DeValue::Array(_) => {
                let fault = Fault::new(format!("{title} stands once, it is not a list"));
                report.add(&value.span(), fault.hint(format!("write `{title}`")));
                None
            }
            other => {
                report.add(&value.span(), not_a(title, "a section", other));
                None
            }
        }
    }

    /// Begins to read this table.
    pub(super) fn of(
        table: &'a DeTable<'i>,
        header: Range<usize>,
        title: &'a str,
        report: &'a mut Report,
    ) -> Self {
        Self { table, header, title, meant: Vec::new(), report }
    }

    /// Reports every key that is not one of these.
    pub(super) fn known(mut self, keys: &'static [&'static str]) -> Self {
        for (key, value) in self.table.iter().filter(|(key, _)| !keys.contains(&&**key.get_ref())) {
            let absent = keys.iter().copied().filter(|known| !self.table.contains_key(*known));
            let meant = closest(key.get_ref(), absent);
            self.meant.extend(meant);
            let fault = match (self.title, value.get_ref()) {
                ("", DeValue::Table(_) | DeValue::Array(_)) => {
                    format!("unknown section {}", quoted(key.get_ref()))
                }
                ("", _) => format!("unknown key {} before the first section", quoted(key.get_ref())),
                (title, _) => format!("unknown key {} in {title}", quoted(key.get_ref())),
            };
            let hint = match (meant, super::raw::sections_with(key.get_ref())) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, Some(sections)) => format!("it belongs in {sections}"),
                (None, None) => format!("known here: {}", listed(keys.iter().copied())),
            };
            self.report.add(&key.span(), Fault::new(fault).hint(hint));
        }
        self
    }

    /// Reads the value of one key.
    pub(super) fn take<T: Kind>(&mut self, key: &'static str) -> Entry<T> {
        let Some(value) = self.table.get(key) else {
            return if self.meant.contains(&key) { Entry::Wrong } else { Entry::Absent };
        };
        if self.report.is_broken(&value.span()) {
            return Entry::Wrong;
        }
        match T::read(value, &T::title(key), self.report) {
            Some(read) => Entry::Given(Spanned::new(value.span(), read)),
            None => Entry::Wrong,
        }
    }

    /// Reports a key that must be written and is not.
    pub(super) fn required<T>(&mut self, key: &str, entry: Entry<T>) -> Entry<T> {
        if !entry.is_absent() {
            return entry;
        }
        if !self.report.has_syntax_faults() {
            let fault = Fault::new(format!("{} lacks `{key}`", self.title));
            self.report.add(&self.header, fault);
        }
        Entry::Wrong
    }

    /// Reports a value out of these bounds.
    pub(super) fn within<T: Shown>(
        &mut self,
        key: &str,
        entry: Entry<T>,
        bounds: &RangeInclusive<T>,
    ) -> Entry<T> {
        let Some(value) = entry.given().filter(|value| !bounds.contains(value.get_ref())) else {
            return entry;
        };
        let (least, most) = (bounds.start().shown(), bounds.end().shown());
        let fault = Fault::new(format!("`{key}` is out of range: `{}`", value.get_ref().shown()));
        self.report.add(&value.span(), fault.hint(format!("from `{least}` to `{most}`")));
        Entry::Wrong
    }
}

/// Words in backticks with commas.
pub(super) fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(quoted).collect::<Vec<_>>().join(", ")
}

/// Declares tables: each key with its field, its kind and the rules for its value alone.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$key_doc:meta])* $key:literal => $field:ident: $kind:ty $(, $rule:ident $(($bounds:expr))?)*;)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $($(#[$key_doc])* pub(super) $field: $crate::config::entry::Entry<$kind>,)*
        }

        impl $name {
            const KEYS: &'static [&'static str] = &[$($key),*];

            fn read_fields(fields: &mut $crate::config::entry::Fields<'_, '_>) -> Self {
                Self {$(
                    $field: {
                        let entry = fields.take::<$kind>($key);
                        $(let entry = fields.$rule($key, entry $(, &$bounds)?);)*
                        entry
                    },
                )*}
            }
        }

        impl $crate::config::entry::Kind for $name {
            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                title: &str,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                let mut fields = $crate::config::entry::Fields::open(value, title, Self::KEYS, report)?;
                Some(Self::read_fields(&mut fields))
            }

            fn title(key: &str) -> String {
                format!("[{key}]")
            }

            fn key_paths(path: &str, paths: &mut Vec<String>) {
                $({
                    let path = if path.is_empty() { $key.to_owned() } else { format!("{path}.{}", $key) };
                    <$kind as $crate::config::entry::Kind>::key_paths(&path, paths);
                })*
            }

            fn titles() -> Vec<(&'static str, String)> {
                vec![$(($key, <$kind as $crate::config::entry::Kind>::title($key))),*]
            }
        }
    )*};
}

pub(super) use tables;

//! The page of figures: a sheet as text for Prometheus. Pure.
//!
//! Two forms: `OpenMetrics` 1.0 for whoever asks for it, as Prometheus does, and the older text for everybody else.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use crate::policy::figures::{Amount, Family, Kind, Sheet};

/// A form of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `OpenMetrics` 1.0.
    Open,
    /// The text format 0.0.4.
    Plain,
}

impl Form {
    /// The form that a client with these headers takes.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let open = accepted.any(|value| {
            let mut kinds = value.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
            kinds.any(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"))
        });
        if open { Self::Open } else { Self::Plain }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text of a sheet.
pub(super) fn page(sheet: Sheet, form: Form) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(sheet)));
    let mut words = String::with_capacity(16 * 1024);
    // A string takes everything.
    let _ = text::encode(&mut words, &registry);
    match form {
        Form::Open => words,
        Form::Plain => plain(&words),
    }
}

#[derive(Debug)]
struct Page(Sheet);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (family, rows) in self.0.families() {
            let (name, kind) = described(family);
            let help = format!("{}.", family.help);
            let mut metric = encoder.encode_descriptor(name, &help, None, kind)?;
            row_by_row(&mut metric, family, rows)?;
        }
        Ok(())
    }
}

/// The name without the ending that the form adds to it, and its kind.
fn described(family: &Family) -> (&'static str, MetricType) {
    let (ending, kind) = match family.kind {
        Kind::Counter => ("_total", MetricType::Counter),
        Kind::Info => ("_info", MetricType::Info),
        Kind::Gauge => ("", MetricType::Gauge),
        Kind::Histogram => ("", MetricType::Histogram),
    };
    (family.name.strip_suffix(ending).unwrap_or(family.name), kind)
}

fn row_by_row(
    metric: &mut MetricEncoder<'_>,
    family: &Family,
    rows: &BTreeMap<Vec<String>, Amount>,
) -> fmt::Result {
    for (values, amount) in rows {
        let labels: Vec<(&str, &str)> =
            family.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
        if family.kind == Kind::Info {
            metric.encode_info(&labels)?;
            continue;
        }
        // Without labels it would write empty braces.
        if labels.is_empty() {
            one_row(metric, amount)?;
        } else {
            one_row(&mut metric.encode_family(&labels)?, amount)?;
        }
    }
    Ok(())
}

fn one_row(row: &mut MetricEncoder<'_>, amount: &Amount) -> fmt::Result {
    const NO_EXEMPLAR: Option<&Exemplar<Vec<(&str, &str)>, f64>> = None;
    match amount {
        Amount::Count(total) => row.encode_counter(total, NO_EXEMPLAR),
        Amount::Sum(total) => row.encode_counter(total, NO_EXEMPLAR),
        Amount::Level(level) => row.encode_gauge(level),
        Amount::Took(times) => {
            let buckets: Vec<(f64, u64)> = times.buckets().collect();
            row.encode_histogram::<Vec<(&str, &str)>>(times.sum(), times.count(), &buckets, None)
        }
    }
}

/// The same page in the older text: there a counter is described by its whole name, an info is a gauge, and nothing
/// marks the end.
fn plain(open: &str) -> String {
    let mut words = String::with_capacity(open.len() + 1024);
    let mut help = "";
    for line in open.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            help = told;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|told| told.split_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            let help = help.strip_prefix(name).unwrap_or_default();
            let _ = writeln!(words, "# HELP {name}{ending}{help}\n# TYPE {name}{ending} {kind}");
        } else if line != "# EOF" {
            words.push_str(line);
            words.push('\n');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::figures::{Histogram, names};

    fn sheet() -> Sheet {
        let mut sheet = Sheet::default();
        sheet.flag(&names::BUILD, &["1.0", "abc"], true);
        sheet.flag(&names::CONNECTED, &["ho\"me\n"], true);
        sheet.count(&names::RECONNECTS, &["home", "closed"], 3);
        sheet.count(&names::RECONNECTS, &["home", "silent"], 0);
        sheet.note(&names::CPU, &[], Amount::Sum(1.5));
        let mut times = Histogram::new(&[0.1, 1.0]);
        times.took(Duration::from_millis(250));
        sheet.took(&names::QUEUE_TIME, &["home"], &times);
        sheet
    }

    #[test]
    fn the_page_is_openmetrics_for_whoever_asks() {
        assert_eq!(
            page(sheet(), Form::Open),
            "# HELP conbusd_build Which version runs.\n\
             # TYPE conbusd_build info\n\
             conbusd_build_info{version=\"1.0\",commit=\"abc\"} 1\n\
             # HELP conbusd_gateway_connected Whether the gateway is connected.\n\
             # TYPE conbusd_gateway_connected gauge\n\
             conbusd_gateway_connected{gateway=\"ho\\\"me\\n\"} 1.0\n\
             # HELP conbusd_gateway_reconnects Links made anew, by what ended the one before.\n\
             # TYPE conbusd_gateway_reconnects counter\n\
             conbusd_gateway_reconnects_total{gateway=\"home\",reason=\"closed\"} 3\n\
             conbusd_gateway_reconnects_total{gateway=\"home\",reason=\"silent\"} 0\n\
             # HELP conbusd_queue_wait_seconds From asking for an answered telegram to its writing.\n\
             # TYPE conbusd_queue_wait_seconds histogram\n\
             conbusd_queue_wait_seconds_sum{gateway=\"home\"} 0.25\n\
             conbusd_queue_wait_seconds_count{gateway=\"home\"} 1\n\
             conbusd_queue_wait_seconds_bucket{le=\"0.1\",gateway=\"home\"} 0\n\
             conbusd_queue_wait_seconds_bucket{le=\"1.0\",gateway=\"home\"} 1\n\
             conbusd_queue_wait_seconds_bucket{le=\"+Inf\",gateway=\"home\"} 1\n\
             # HELP process_cpu_seconds Processor time used.\n\
             # TYPE process_cpu_seconds counter\n\
             process_cpu_seconds_total 1.5\n\
             # EOF\n"
        );
    }

    #[test]
    fn everybody_else_gets_the_older_text() {
        let page = page(sheet(), Form::Plain);
        assert!(page.starts_with(
            "# HELP conbusd_build_info Which version runs.\n# TYPE conbusd_build_info gauge\nconbusd_build_info{"
        ));
        assert!(
            page.contains(
                "# TYPE conbusd_gateway_reconnects_total counter\nconbusd_gateway_reconnects_total{"
            )
        );
        assert!(page.contains("# TYPE conbusd_queue_wait_seconds histogram\n"));
        assert!(page.ends_with("process_cpu_seconds_total 1.5\n"));
    }

    #[test]
    fn the_header_accept_decides() {
        let form =
            |accept: &'static str| Form::asked(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(form(prometheus), Form::Open);
        assert_eq!(form("text/plain, Application/OpenMetrics-Text"), Form::Open);
        for other in
            ["*/*", "", "text/plain;version=0.0.4", "application/json", "application/openmetrics-texts"]
        {
            assert_eq!(form(other), Form::Plain, "{other}");
        }
        assert_eq!(Form::asked(&HeaderMap::new()), Form::Plain);
    }
}

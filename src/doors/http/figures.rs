//! Asks everybody who counts and measures, and answers with the page of figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::future::{join, join_all};

use super::metrics::{self, Form};
use super::routes::{OBSERVE_WITHIN, Site, Tally, reply};
use super::vitals;
use crate::actors::events::Measure;
use crate::policy::figures::{Sheet, names};

/// From which state of the source the daemon was built, where its builder said so.
const COMMIT: &str = match option_env!("CONBUSD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The page of figures. Of an actor that is too busy to tell, the figures are missing this time.
pub(super) async fn figures(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let mut sheet = Sheet::default();
    sheet.flag(&names::BUILD, &[env!("CARGO_PKG_VERSION"), COMMIT], true);
    site.tally.note(&mut sheet);
    vitals::note(&mut sheet);
    let cards = site.cards();
    let accessories = cards.ask_all(Measure, OBSERVE_WITHIN);
    let others = site.house.measured.iter().map(|actor| actor.take(OBSERVE_WITHIN));
    let (accessories, others) = join(accessories, join_all(others)).await;
    accessories.into_iter().chain(others).flatten().for_each(|told| sheet.add(told));
    let form = Form::asked(&headers);
    reply(StatusCode::OK, form.content_type(), metrics::page(sheet, form).into())
}

impl Tally {
    fn note(&self, sheet: &mut Sheet) {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        sheet.count(&names::HTTP_REQUESTS, &[], total(&self.requests));
        sheet.level(&names::HTTP_CONNECTIONS, &[], total(&self.open) as f64);
        sheet.count(&names::HTTP_REFUSED, &[], total(&self.refused));
        sheet.count(&names::HTTP_WRONG_TOKENS, &[], total(&self.wrong_tokens));
    }
}

//! What the values mean together: from what was typed to what is true.
//!
//! Every function fills in what was not written and reports what cannot be. Where a value is already known to be
//! wrong nothing is concluded from it, so that one slip is one mistake.

mod doors;
mod ensembles;
mod house;
mod settings;

use std::path::Path;

use super::checked::Config;
use super::raw::Document;
use super::report::Report;

/// The configuration; it is to be used only if the report stays empty.
pub(super) fn check(document: &Document, base: &Path, report: &mut Report) -> Config {
    let house = house::check(document, report);
    let (groups, scenes) = ensembles::check(document, report);
    let outputs = house.modules.iter().map(|module| usize::from(module.module_type.outputs())).sum();
    let cache = settings::cache(&document.cache, outputs);
    Config {
        service: settings::identity(&document.service, base),
        log: settings::log(&document.log),
        poller: settings::poller(&document.poller, &document.cache, cache.ttl, report),
        cache,
        http: doors::http(&document.http, base, report),
        homekit: doors::homekit(&document.homekit),
        mqtt: doors::mqtt(&document.mqtt, base, report),
        mux: doors::mux(document, report),
        gateways: {
            doors::check_ports(document, report);
            doors::check_gateway_names(document, report);
            house.gateways
        },
        modules: house.modules,
        accessories: house.accessories,
        groups,
        scenes,
    }
}

use std::path::Path;

use crate::config::parse;

#[test]
fn the_shipped_file_loads() {
    let config = parse("config.toml", include_str!("../../../config.toml"), Path::new("/house"))
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.accessories.len(), 24);
}

#[test]
fn an_empty_file_loads() {
    let config = parse("config.toml", "", Path::new("/house")).unwrap_or_else(|report| panic!("{report}"));
    assert!(config.gateways.is_empty() && config.http.is_none());
}

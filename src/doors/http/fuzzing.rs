//! What a client may say to this door, as claims about any bytes (`crate::fuzzing`).
#![allow(clippy::missing_panics_doc, reason = "to panic on a finding is what each of these is for")]

use axum::http::StatusCode;

use super::translate::{Fault, recall, target, want, with_telegrams};
use crate::policy::{AccessoryKind, Moment};

/// Quotes are cut: no answer grows with the request.
const MESSAGE_BYTES_MAX: usize = 400;

/// No request makes an answer of more.
const HISTORY_ENTRIES_MAX: usize = 1000;

fn is_told(fault: &Fault) {
    assert_eq!((fault.status, fault.code), (StatusCode::BAD_REQUEST, "bad_request"));
    assert!(!fault.message.is_empty() && fault.message.len() <= MESSAGE_BYTES_MAX, "{}", fault.message);
    let body: serde_json::Value =
        serde_json::from_slice(&super::json::error(fault)).expect("an error is an object");
    assert_eq!(body["error"]["message"], fault.message.as_str());
}

/// A body is a wish of its kind or a fault with a short message; so is a query.
pub fn http_json(input: &[u8]) {
    for kind in [AccessoryKind::Light, AccessoryKind::Outlet, AccessoryKind::Dimmer] {
        match target(input, "lamp", (kind, kind == AccessoryKind::Dimmer)) {
            Ok(target) => {
                assert!(target.on.is_some() || target.level.is_some());
                assert!(target.level.is_none() || kind == AccessoryKind::Dimmer);
            }
            Err(fault) => is_told(&fault),
        }
    }
    let Ok(query) = std::str::from_utf8(input) else { return };
    for outcome in [want(Some(query), Moment::START).map(drop), with_telegrams(Some(query)).map(drop)] {
        if let Err(fault) = outcome {
            is_told(&fault);
        }
    }
    match recall(Some(query)) {
        Ok((accessory, limit)) => {
            assert!((1..=HISTORY_ENTRIES_MAX).contains(&limit), "{limit}");
            assert!(accessory.is_none_or(|id| query.contains(id) && !id.contains('&')));
        }
        Err(fault) => is_told(&fault),
    }
}

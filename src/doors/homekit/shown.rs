//! What the owner is shown of the bridges: who is paired, and how to pair. Pure; never for a log.

use serde_json::{Value, json};

use super::code::{CATEGORY, drawing, setup_uri};
use super::hall::Hall;

/// Every bridge. The code is told only while nobody is paired: afterwards it opens nothing, and a picture of the
/// page should not hold it.
pub(super) fn pairing(hall: &Hall) -> Value {
    let bridges = (0..hall.bridge_count()).map(|bridge| {
        let kept = hall.bridge(bridge);
        let setup = (!kept.is_paired()).then(|| {
            let code = hall.code(bridge);
            let uri = setup_uri(&code, &kept.setup_id, CATEGORY);
            let (side, path) = drawing(&uri);
            json!({"code": code, "uri": uri, "side": side, "path": path})
        });
        let controllers = kept.controllers.iter().map(
            |controller| json!({"name": String::from_utf8_lossy(&controller.id), "admin": controller.admin}),
        );
        json!({
            "name": hall.bridge_name(bridge),
            "device_id": kept.device_id,
            "setup": setup,
            "controllers": controllers.collect::<Vec<_>>(),
        })
    });
    json!({"open": true, "sessions": hall.session_count(), "bridges": bridges.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::super::pairings::Controller;
    use super::super::store::State;
    use super::*;

    #[test]
    fn the_code_is_shown_until_somebody_is_paired() {
        let draw = |buffer: &mut [u8]| buffer.fill(0x5A);
        let hall = |state: State| Hall::new("Home".into(), Some("271-82-818".into()), vec![], state, draw).0;
        let before = pairing(&hall(State::new(draw)));
        assert_eq!(before["bridges"][0]["setup"]["code"], "271-82-818");
        assert!(before["bridges"][0]["setup"]["path"].as_str().unwrap().starts_with("M0 0h1"));
        let mut state = State::new(draw);
        state.bridges[0].controllers.push(Controller::new(b"phone", &[1; 32], true).unwrap());
        let after = pairing(&hall(state));
        assert!(after["bridges"][0]["setup"].is_null() && !after.to_string().contains("271-82-818"));
        assert_eq!(after["bridges"][0]["controllers"], json!([{"name": "phone", "admin": true}]));
    }
}

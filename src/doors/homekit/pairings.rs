//! Who is paired, and what `/pairings` does to the list.

use serde::{Deserialize, Serialize};

use super::bytes_as_hex;
use super::tlv::{Fault, Tlv, kind};

/// How many controllers can be paired; the specification asks for at least 16.
pub(super) const PAIRINGS_MAX: usize = 32;

/// Controllers name themselves with 36 characters; more than this is nobody's name.
const ID_BYTES_MAX: usize = 64;

const ADD: u8 = 3;
const REMOVE: u8 = 4;
const LIST: u8 = 5;

/// A paired controller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Controller {
    /// What it calls itself.
    #[serde(with = "bytes_as_hex")]
    pub(super) id: Vec<u8>,
    /// What its signatures are checked with.
    #[serde(with = "bytes_as_hex")]
    pub(super) key: [u8; 32],
    /// Whether it may add and remove others.
    pub(super) admin: bool,
}

impl Controller {
    /// A controller; `None` when its id or key has no possible length.
    pub(super) fn new(id: &[u8], key: &[u8], admin: bool) -> Option<Self> {
        let fits = (1..=ID_BYTES_MAX).contains(&id.len());
        Some(Self { id: id.to_vec(), key: key.try_into().ok().filter(|_| fits)?, admin })
    }
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    /// The answer.
    pub(super) reply: Tlv,
    /// The list afterwards, when it is to be kept before the answer is sent.
    pub(super) keep: Option<Vec<Controller>>,
}

impl Change {
    fn none(reply: Tlv) -> Self {
        Self { reply, keep: None }
    }

    fn fault(fault: Fault) -> Self {
        Self::none(Tlv::fault(2, fault))
    }
}

/// Answers a request of the controller `asker` about the `paired` ones.
pub(super) fn change(paired: &[Controller], asker: &[u8], request: &Tlv) -> Change {
    if !paired.iter().any(|controller| controller.id == asker && controller.admin) {
        return Change::fault(Fault::Authentication);
    }
    match (request.byte(kind::STATE), request.byte(kind::METHOD)) {
        (Some(1), Some(ADD)) => add(paired, request),
        (Some(1), Some(REMOVE)) => remove(paired, request),
        (Some(1), Some(LIST)) => Change::none(list(paired)),
        _ => Change::fault(Fault::Unknown),
    }
}

fn add(paired: &[Controller], request: &Tlv) -> Change {
    let named = request.get(kind::IDENTIFIER).zip(request.get(kind::PUBLIC_KEY));
    let admin = request.byte(kind::PERMISSIONS).map(|bits| bits & 1 == 1);
    let controller = named.zip(admin).and_then(|((id, key), admin)| Controller::new(id, key, admin));
    let Some(controller) = controller else { return Change::fault(Fault::Unknown) };
    let mut after = paired.to_vec();
    match after.iter_mut().find(|known| known.id == controller.id) {
        // A known name with another key is an impostor, or a mistake.
        Some(known) if known.key != controller.key => return Change::fault(Fault::Unknown),
        Some(known) => known.admin = controller.admin,
        None if paired.len() >= PAIRINGS_MAX => return Change::fault(Fault::MaxPeers),
        None => after.push(controller),
    }
    Change { reply: Tlv::state(2), keep: Some(without_orphans(after)) }
}

fn remove(paired: &[Controller], request: &Tlv) -> Change {
    let Some(id) = request.get(kind::IDENTIFIER) else { return Change::fault(Fault::Unknown) };
    let mut after = paired.to_vec();
    after.retain(|known| known.id != id);
    // Removing a stranger is a success: it is not paired afterwards.
    let keep = (after.len() != paired.len()).then(|| without_orphans(after));
    Change { reply: Tlv::state(2), keep }
}

/// Without an admin nobody could ever change anything: then nobody is paired.
fn without_orphans(mut paired: Vec<Controller>) -> Vec<Controller> {
    if !paired.iter().any(|controller| controller.admin) {
        paired.clear();
    }
    paired
}

fn list(paired: &[Controller]) -> Tlv {
    paired.iter().enumerate().fold(Tlv::state(2), |reply, (place, controller)| {
        let reply = if place == 0 { reply } else { reply.with(kind::SEPARATOR, &[]) };
        reply
            .with(kind::IDENTIFIER, &controller.id)
            .with(kind::PUBLIC_KEY, &controller.key)
            .with(kind::PERMISSIONS, &[u8::from(controller.admin)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(name: &str, admin: bool) -> Controller {
        Controller::new(name.as_bytes(), &[name.len() as u8; 32], admin).unwrap()
    }

    fn ask(method: u8) -> Tlv {
        Tlv::state(1).with(kind::METHOD, &[method])
    }

    fn ask_add(controller: &Controller) -> Tlv {
        ask(ADD)
            .with(kind::IDENTIFIER, &controller.id)
            .with(kind::PUBLIC_KEY, &controller.key)
            .with(kind::PERMISSIONS, &[u8::from(controller.admin)])
    }

    #[test]
    fn only_admins_may_ask() {
        let paired = [controller("admin", true), controller("guest", false)];
        for method in [ADD, REMOVE, LIST] {
            for asker in [&b"guest"[..], b"nobody"] {
                assert_eq!(change(&paired, asker, &ask(method)), Change::fault(Fault::Authentication));
            }
        }
    }

    #[test]
    fn a_second_controller_is_added_and_its_rights_are_changed() {
        let admin = controller("admin", true);
        let added = change(std::slice::from_ref(&admin), b"admin", &ask_add(&controller("guest", false)));
        assert_eq!(added.keep, Some(vec![admin, controller("guest", false)]));
        let raised = change(&added.keep.unwrap(), b"admin", &ask_add(&controller("guest", true)));
        assert!(raised.keep.unwrap()[1].admin);
    }

    #[test]
    fn a_known_name_with_another_key_is_refused() {
        let mut other = controller("admin", true);
        other.key = [9; 32];
        assert_eq!(
            change(&[controller("admin", true)], b"admin", &ask_add(&other)),
            Change::fault(Fault::Unknown)
        );
    }

    #[test]
    fn there_is_an_end_to_pairings() {
        let mut paired = vec![controller("admin", true)];
        for count in 0..PAIRINGS_MAX {
            let name = format!("{count:036}");
            let outcome = change(&paired, b"admin", &ask_add(&controller(&name, false)));
            match outcome.keep {
                Some(after) => paired = after,
                None => {
                    assert_eq!((outcome.reply, count), (Tlv::fault(2, Fault::MaxPeers), PAIRINGS_MAX - 1));
                }
            }
        }
        assert_eq!(paired.len(), PAIRINGS_MAX);
    }

    #[test]
    fn the_last_admin_takes_all_others_along() {
        let paired = [controller("admin", true), controller("guest", false)];
        let remove = |id: &str| ask(REMOVE).with(kind::IDENTIFIER, id.as_bytes());
        assert_eq!(change(&paired, b"admin", &remove("admin")).keep, Some(vec![]));
        assert_eq!(change(&paired, b"admin", &remove("guest")).keep, Some(vec![controller("admin", true)]));
        assert_eq!(change(&paired, b"admin", &remove("stranger")), Change::none(Tlv::state(2)));
        let lowered = change(&paired, b"admin", &ask_add(&controller("admin", false)));
        assert_eq!(lowered.keep, Some(vec![]));
    }

    #[test]
    fn the_list_keeps_its_entries_apart() {
        let paired = [controller("admin", true), controller("guest", false)];
        let text = change(&paired, b"admin", &ask(LIST)).reply.encode();
        assert_eq!(text.windows(2).filter(|pair| pair == &[kind::SEPARATOR, 0]).count(), 1);
        assert!(Tlv::parse(&text).is_ok());
    }

    #[test]
    fn malformed_requests_change_nothing() {
        let paired = [controller("admin", true)];
        let short = ask(ADD)
            .with(kind::IDENTIFIER, b"x")
            .with(kind::PUBLIC_KEY, &[1; 31])
            .with(kind::PERMISSIONS, &[1]);
        for request in [ask(ADD), ask(REMOVE), ask(9), Tlv::state(3), short] {
            assert_eq!(change(&paired, b"admin", &request), Change::fault(Fault::Unknown));
        }
    }
}

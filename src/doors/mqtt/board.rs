//! What is to stand at the broker, and what of it is still to be said. Pure.
//!
//! A retained topic has one place, so that the newest state wins however long nobody takes it; what is not retained
//! waits in a short line. So nothing here grows while the broker is slow or gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages that are out and not acknowledged. The rest waits here, where it is replaced by what is newer.
const WINDOW: usize = 32;

/// Events and answers that wait.
const POSTS_MAX: usize = 256;

/// In which order retained topics are said: who is there, what there is, whether it is reachable, what it does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rank {
    /// This daemon.
    Bridge,
    /// What is there no more: an entity that moved to another device has to go before it comes.
    Gone,
    /// Descriptions for Home Assistant.
    Description,
    /// Gateways and modules.
    Availability,
    /// Outputs, and what modules tell of themselves.
    State,
}

/// A message for the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    /// Where.
    pub(super) topic: String,
    /// What; nothing clears a retained one.
    pub(super) payload: String,
    /// Whether the broker keeps it.
    pub(super) retained: bool,
}

#[derive(Debug)]
struct Note {
    rank: Rank,
    payload: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Board {
    notes: BTreeMap<String, Note>,
    unsaid: BTreeSet<(Rank, String)>,
    posts: VecDeque<Message>,
    in_flight: usize,
    /// Events and answers that found no room, or nobody to tell.
    pub(super) dropped: u64,
    /// Messages that were given to the broker.
    pub(super) published: u64,
}

impl Board {
    /// This is to stand there. It is said when it is new.
    pub(super) fn pin(&mut self, rank: Rank, topic: String, payload: String) {
        if self.notes.get(&topic).is_none_or(|note| note.payload != payload) {
            self.unsaid.insert((rank, topic.clone()));
            self.notes.insert(topic, Note { rank, payload });
        }
    }

    /// Nothing is to stand there any more.
    pub(super) fn clear(&mut self, topic: String) {
        self.pin(Rank::Gone, topic, String::new());
    }

    /// It is to be said again, changed or not.
    pub(super) fn again(&mut self, topic: &str) {
        if let Some(note) = self.notes.get(topic) {
            self.unsaid.insert((note.rank, topic.to_owned()));
        }
    }

    /// What has this rank is to be said again, changed or not.
    pub(super) fn rank_again(&mut self, rank: Rank) {
        let all = self.notes.iter().filter(|(_, note)| note.rank == rank);
        self.unsaid.extend(all.map(|(topic, _)| (rank, topic.clone())));
    }

    /// All of it is to be said again: whoever listens may know nothing.
    pub(super) fn all_again(&mut self) {
        self.unsaid = self.notes.iter().map(|(topic, note)| (note.rank, topic.clone())).collect();
    }

    /// An event or an answer, said once. Lost when there is no room.
    pub(super) fn post(&mut self, topic: String, payload: String) {
        if self.posts.len() >= POSTS_MAX {
            self.dropped += 1;
            return;
        }
        self.posts.push_back(Message { topic, payload, retained: false });
    }

    /// The broker is gone: what was out may not have arrived, and events grow stale.
    pub(super) fn lost(&mut self) {
        self.in_flight = 0;
        self.dropped += self.posts.len() as u64;
        self.posts.clear();
    }

    /// The next message to say, while not too many are out.
    pub(super) fn next(&mut self) -> Option<Message> {
        if self.in_flight >= WINDOW {
            return None;
        }
        let message = self.posts.pop_front().or_else(|| {
            let (_, topic) = self.unsaid.pop_first()?;
            let payload = self.notes.get(&topic)?.payload.clone();
            Some(Message { topic, payload, retained: true })
        })?;
        self.in_flight += 1;
        self.published += 1;
        Some(message)
    }

    /// One of those that are out has arrived.
    pub(super) fn acknowledged(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.is_done() {
            self.notes.retain(|_, note| !note.payload.is_empty());
        }
    }

    /// Whether everything was said and has arrived.
    pub(super) fn is_done(&self) -> bool {
        self.in_flight == 0 && self.posts.is_empty() && self.unsaid.is_empty()
    }

    /// Whether something is out.
    pub(super) fn is_waiting(&self) -> bool {
        self.in_flight > 0
    }

    /// How many messages wait.
    pub(super) fn queued(&self) -> usize {
        self.posts.len() + self.unsaid.len()
    }

    /// What stands, or is to stand, at this topic.
    #[cfg(test)]
    pub(super) fn pinned(&self, topic: &str) -> Option<&str> {
        self.notes.get(topic).map(|note| note.payload.as_str())
    }

    /// Forgets what stands at topics that this says no to; they are not cleared.
    pub(super) fn forget(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.notes.retain(|topic, _| is_kept(topic));
        self.unsaid.retain(|(_, topic)| is_kept(topic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(board: &mut Board) -> Vec<(String, String)> {
        std::iter::from_fn(|| board.next()).map(|message| (message.topic, message.payload)).collect()
    }

    fn pair(topic: &str, payload: &str) -> (String, String) {
        (topic.into(), payload.into())
    }

    #[test]
    fn the_newest_state_of_a_topic_wins_and_is_said_once() {
        let mut board = Board::default();
        for level in 0..500 {
            board.pin(Rank::State, "lamp".into(), level.to_string());
        }
        assert_eq!(board.queued(), 1);
        assert_eq!(said(&mut board), [pair("lamp", "499")]);
        board.pin(Rank::State, "lamp".into(), "499".into());
        assert_eq!(said(&mut board), []);
    }

    #[test]
    fn after_a_reconnect_all_is_said_in_order() {
        let mut board = Board::default();
        board.pin(Rank::State, "a".into(), "ON".into());
        board.pin(Rank::Availability, "b".into(), "online".into());
        board.pin(Rank::Description, "c".into(), "{}".into());
        board.pin(Rank::Bridge, "d".into(), "online".into());
        let order = [pair("d", "online"), pair("c", "{}"), pair("b", "online"), pair("a", "ON")];
        assert_eq!(said(&mut board), order);
        board.lost();
        board.all_again();
        assert_eq!(said(&mut board), order);
    }

    #[test]
    fn no_more_than_a_window_is_out_and_the_rest_is_replaced_here() {
        let mut board = Board::default();
        let topic = |n: usize| format!("lamp{n:03}");
        for n in 0..100 {
            board.pin(Rank::State, topic(n), "ON".into());
        }
        assert_eq!(said(&mut board).len(), WINDOW);
        board.pin(Rank::State, topic(99), "OFF".into());
        board.acknowledged();
        assert_eq!(said(&mut board), [pair("lamp032", "ON")]);
        for _ in 0..200 {
            board.acknowledged();
            said(&mut board);
        }
        assert!(board.is_done());
        assert_eq!(board.published, 100);
    }

    #[test]
    fn events_wait_in_a_short_line_and_do_not_outlive_the_link() {
        let mut board = Board::default();
        for n in 0..300 {
            board.post("button".into(), n.to_string());
        }
        assert_eq!((board.queued(), board.dropped), (256, 44));
        board.lost();
        assert_eq!((board.queued(), board.dropped), (0, 300));
        assert_eq!(said(&mut board), []);
    }

    #[test]
    fn what_is_gone_goes_before_what_comes_in_its_place() {
        let mut board = Board::default();
        board.pin(Rank::State, "z".into(), "ON".into());
        board.pin(Rank::Description, "a".into(), "{}".into());
        board.clear("b".into());
        assert_eq!(said(&mut board), [pair("b", ""), pair("a", "{}"), pair("z", "ON")]);
        board.rank_again(Rank::Description);
        assert_eq!(said(&mut board), [pair("a", "{}")]);
    }

    #[test]
    fn what_is_cleared_is_forgotten_when_the_broker_has_heard_it() {
        let mut board = Board::default();
        board.clear("ghost".into());
        let message = board.next().unwrap();
        assert_eq!((message.payload.as_str(), message.retained), ("", true));
        // Lost on the way: said again.
        board.lost();
        board.all_again();
        assert_eq!(said(&mut board), [pair("ghost", "")]);
        board.acknowledged();
        assert_eq!(board.pinned("ghost"), None);
    }
}

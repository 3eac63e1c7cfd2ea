//! The update rule against every order of events on a small bus: the rule as built holds, and each rule that
//! lacks a part of it is refuted. The judge is the one that the cache uses.

#![allow(clippy::unwrap_used, reason = "a failed test is the only reader")]
#![allow(clippy::print_stdout, reason = "the figures of a check, for whoever asks with --nocapture")]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "model/agreement.rs"]
mod agreement;
#[path = "model/bus.rs"]
mod bus;

use bus::{Without, World};
use stateright::{Checker, Model};

/// Checks a world; the number of its states when no promise is broken in any of them.
fn check(world: World) -> Result<usize, String> {
    let checker = world.checker().threads(2).spawn_dfs().join();
    match checker.discovery("kept") {
        None => Ok(checker.unique_state_count()),
        Some(path) => Err(format!("{:?}", path.into_actions())),
    }
}

fn holds(world: World) {
    match check(world) {
        Ok(states) => println!("{states} states"),
        Err(path) => panic!("{world:?} is broken by {path}"),
    }
}

fn refuted(without: Without, world: World) {
    holds(world);
    let path = check(World { without, ..world }).expect_err("the part that is left out must be missed");
    println!("{without:?}: {path}");
}

/// Replies that come after their query was given up.
const LATE: World = World { late: true, ..World::QUIET };
/// Changes that no report tells.
const SILENT: World = World { late: true, silent: 1, switches: 1, evictions: 0, ..World::QUIET };
/// A reply that is heard twice.
const DOUBLED: World = World { duplicates: 1, evictions: 0, ..World::QUIET };
/// Another master reads, heard or not.
const FOREIGN: World = World { foreign: 1, evictions: 0, ..World::QUIET };
/// The link breaks while a query is out; what is still on the bus comes over the next one.
const LOSSES: World = World { late: true, link_losses: 1, evictions: 0, ..World::QUIET };
/// We switch ourselves.
const COMMANDS: World = World { late: true, commands: 1, switches: 1, evictions: 0, ..World::QUIET };

#[test]
fn the_rule_as_built_holds_with_strays_and_commands_at_once() {
    holds(World { duplicates: 1, foreign: 1, switches: 1, evictions: 0, ticks: 5, ..World::QUIET });
    holds(World { foreign: 1, commands: 1, switches: 1, evictions: 0, ticks: 5, ..World::QUIET });
}

#[test]
fn the_rule_as_built_holds_with_late_replies_and_silent_changes_at_once() {
    holds(World { silent: 1, commands: 1, switches: 0, ..LATE });
}

#[test]
fn believing_every_reply_is_refuted() {
    refuted(Without::Rule, World::QUIET);
}

#[test]
fn a_fence_that_is_forgotten_with_its_entry_is_refuted() {
    refuted(Without::FencesOutsideTheCache, World::QUIET);
}

#[test]
fn taking_the_newest_query_for_the_one_that_is_answered_is_refuted() {
    refuted(Without::Attribution, LATE);
}

#[test]
fn believing_uncertain_replies_at_once_is_refuted() {
    refuted(Without::Settling, COMMANDS);
}

#[test]
fn asking_right_behind_an_event_is_refuted_by_another_master() {
    refuted(Without::Spacing, FOREIGN);
}

#[test]
fn forgetting_what_was_asked_when_the_link_broke_is_refuted() {
    refuted(Without::DoubtAfterLoss, LOSSES);
}

#[test]
fn believing_two_uncertain_replies_in_any_order_is_refuted() {
    refuted(Without::Agreement, SILENT);
}

#[test]
fn asking_right_behind_a_reply_that_crossed_an_event_is_refuted_by_its_duplicate() {
    refuted(Without::Refencing, DOUBLED);
}

#[test]
fn a_duplicate_that_comes_later_than_another_masters_reply_is_beyond_the_rule() {
    assert!(check(World { duplicate_lag: 3, ..DOUBLED }).is_err(), "the assumption F is needed");
}

#[test]
fn a_stray_reply_that_takes_the_place_of_a_late_one_is_beyond_the_rule() {
    assert!(check(World { late: true, queries: 3, ..DOUBLED }).is_err(), "late and doubled never meet");
}

//! Several accessories as one: what a group shows, and what of a wish each member is told. Pure.
//!
//! A group is on when a member is; its brightness is the mean of the members that are on and dim; it is as fresh as the
//! worst of them, because whoever reads it is told something about all.

use super::switch::{AccessoryState, Target};
use super::{Freshness, Moment};
use crate::conbus::Percent;

/// A member as it was last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Whether it has a brightness.
    pub dims: bool,
    /// What it shows.
    pub state: AccessoryState,
}

impl Member {
    /// A member of which nothing is known.
    pub fn new(dims: bool) -> Self {
        Self { dims, state: AccessoryState::UNKNOWN }
    }

    /// What a wish for the group means to this member: one that does not dim is switched by a level.
    pub fn wish(dims: bool, target: Target) -> Target {
        if dims {
            return target;
        }
        Target { on: target.on.or(target.level.map(|level| level != Percent::OFF)), level: None }
    }
}

/// What these members show together. Of nobody nothing is known.
pub fn together(members: &[Member]) -> AccessoryState {
    let states = || members.iter().map(|member| &member.state);
    let on = if states().any(|state| state.on == Some(true)) {
        Some(true)
    } else {
        // One that is unknown may be on.
        (!members.is_empty() && states().all(|state| state.on == Some(false))).then_some(false)
    };
    let oldest = states().min_by_key(|state| state.observed_at.unwrap_or(Moment::START));
    AccessoryState {
        on,
        brightness: brightness(members, on),
        freshness: states().map(|state| state.freshness).max().unwrap_or(Freshness::Unknown),
        observed_at: oldest.and_then(|state| state.observed_at),
        origin: oldest.and_then(|state| state.origin),
    }
}

fn brightness(members: &[Member], on: Option<bool>) -> Option<Percent> {
    let dimmers = members.iter().filter(|member| member.dims);
    if on == Some(false) {
        return dimmers.map(|_| Percent::OFF).next();
    }
    let lit: Vec<u32> = dimmers
        .filter(|member| member.state.on == Some(true))
        .filter_map(|member| Some(u32::from(member.state.brightness?.get())))
        .collect();
    let count = u32::try_from(lit.len()).ok().filter(|count| *count > 0)?;
    let mean = (lit.iter().sum::<u32>() + count / 2) / count;
    u8::try_from(mean).ok().and_then(Percent::new)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::Origin;

    fn lamp(on: bool) -> Member {
        let state = AccessoryState { on: Some(on), freshness: Freshness::Fresh, ..AccessoryState::UNKNOWN };
        Member { dims: false, state }
    }

    fn dimmer(level: u8) -> Member {
        let Member { state, .. } = lamp(level > 0);
        Member { dims: true, state: AccessoryState { brightness: Percent::new(level), ..state } }
    }

    fn level(members: &[Member]) -> Option<u8> {
        together(members).brightness.map(Percent::get)
    }

    #[test]
    fn a_group_is_on_when_a_member_is_and_off_when_all_are() {
        assert_eq!(together(&[lamp(false), lamp(true)]).on, Some(true));
        assert_eq!(together(&[lamp(false), lamp(false)]).on, Some(false));
        assert_eq!(together(&[lamp(false), Member::new(false)]).on, None, "the unknown one may be on");
        assert_eq!(together(&[lamp(true), Member::new(false)]).on, Some(true));
        assert_eq!(together(&[]).on, None);
    }

    #[test]
    fn its_brightness_is_the_mean_of_the_members_that_are_on_and_dim() {
        assert_eq!(level(&[dimmer(40), dimmer(61), lamp(true)]), Some(51));
        assert_eq!(level(&[dimmer(40), dimmer(0)]), Some(40), "who is off does not count");
        assert_eq!(level(&[dimmer(0), lamp(false)]), Some(0));
        assert_eq!(level(&[dimmer(0), lamp(true)]), None);
        assert_eq!(level(&[lamp(true)]), None);
    }

    #[test]
    fn it_is_as_fresh_as_the_worst_and_as_old_as_the_oldest() {
        let seen = |seconds, freshness, origin| {
            let mut member = lamp(true);
            member.state.freshness = freshness;
            member.state.observed_at = Some(Moment::after_start(Duration::from_secs(seconds)));
            member.state.origin = Some(origin);
            member
        };
        let (new, old) = (seen(9, Freshness::Fresh, Origin::Report), seen(3, Freshness::Stale, Origin::Poll));
        let state = together(&[new, old]);
        assert_eq!((state.freshness, state.origin), (Freshness::Stale, Some(Origin::Poll)));
        assert_eq!(state.observed_at, Some(Moment::after_start(Duration::from_secs(3))));
        assert_eq!(together(&[new, Member::new(false)]).freshness, Freshness::Unknown);
    }

    #[test]
    fn a_brightness_switches_members_that_have_none() {
        let level = |level| Target { on: None, level: Percent::new(level) };
        assert_eq!(Member::wish(true, level(40)), level(40));
        assert_eq!(Member::wish(false, level(40)), Target { on: Some(true), level: None });
        assert_eq!(Member::wish(false, level(0)), Target { on: Some(false), level: None });
        let off = Target { on: Some(false), level: Percent::new(40) };
        assert_eq!(Member::wish(false, off), Target { on: Some(false), level: None });
    }
}

//! Claims about groups and scenes; what is added to the house begins on line 12, the lamps take 12 lines.

use super::*;
use crate::conbus::Percent;
use crate::config::{Deed, Step};

const LAMPS: &str = "[[accessory]]\nid = \"desk\"\nname = \"Desk\"\nkind = \"light\"\nmodule = \"0012345004\"\noutput = 0\n\
                     [[accessory]]\nid = \"spots\"\nname = \"Spots\"\nkind = \"dimmer\"\nmodule = \"0012345006\"\noutput = 0\n";

fn with(text: &str) -> String {
    format!("{HOUSE}{LAMPS}{text}")
}

#[test]
fn a_group_and_both_kinds_of_scenes_are_read() {
    let config = good(&with(
        "[[group]]\nid = \"all\"\nname = \"All\"\nmembers = [\"desk\", \"spots\"]\n\
         [[scene]]\nid = \"film\"\nname = \"Film\"\nroom = \"Salon\"\n\
         targets = [{ accessory = \"desk\", on = false }, { accessory = \"spots\", brightness = 20 }]\n\
         [[scene]]\nid = \"off\"\nname = \"All off\"\nevent = \"E02L04I05\"\n",
    ));
    assert_eq!(config.groups[0].members, ["desk", "spots"]);
    let step = |id: &str, on, level| Step {
        accessory: id.into(),
        on,
        brightness: Percent::new(level).filter(|_| on.is_none()),
    };
    let steps = vec![step("desk", Some(false), 0), step("spots", None, 20)];
    assert_eq!(config.scenes[0].deed, Deed::Targets(steps));
    let Deed::Event { input, gateway } = &config.scenes[1].deed else { panic!("an event") };
    assert_eq!((input.link, input.input, *gateway), (4, 5, 0));
}

#[test]
fn members_exist_are_accessories_and_stand_once() {
    mistakes(
        &with(
            "[[group]]\nid = \"all\"\nname = \"All\"\nmembers = [\"desk\", \"spot\", \"desk\", \"more\"]\n\
             [[group]]\nid = \"more\"\nname = \"More\"\nmembers = []\n",
        ),
        &[
            (27, 20, &["unknown accessory `spot`", "did you mean `spots`?"]),
            (27, 28, &["the member `desk` is taken"]),
            (27, 36, &["`more` is no accessory but a group"]),
            (31, 11, &["a group without members"]),
        ],
    );
}

#[test]
fn an_id_stands_once_among_accessories_groups_and_scenes() {
    mistakes(
        &with(
            "[[group]]\nid = \"desk\"\nname = \"All\"\nmembers = [\"desk\"]\n\
             [[scene]]\nid = \"desk\"\nname = \"Off\"\nevent = \"E02L04I05\"\n",
        ),
        &[(25, 6, &["the id `desk` is taken", "line 13"]), (29, 6, &["the id `desk` is taken", "line 13"])],
    );
}

#[test]
fn a_scene_says_one_thing_and_says_it_of_what_can_do_it() {
    mistakes(
        &with(
            "[[scene]]\nid = \"a\"\nname = \"A\"\n\
             [[scene]]\nid = \"b\"\nname = \"B\"\ntargets = [{ accessory = \"desk\", on = true }]\nevent = \"E02L04I05\"\n\
             [[scene]]\nid = \"c\"\nname = \"C\"\ntargets = [{ accessory = \"desk\", brightness = 20 }, { accessory = \"spots\" }]\n\
             [[scene]]\nid = \"d\"\nname = \"D\"\ntargets = []\n[[scene]]\nid = \"e\"\nname = \"E\"\ntargets = \"desk\"\n",
        ),
        &[
            (24, 1, &["lacks `targets` or `event`"]),
            (31, 9, &["not both"]),
            (35, 47, &["`desk` is of kind light, it has no brightness"]),
            (35, 53, &["does not say what it wants of `spots`"]),
            (39, 11, &["a scene without targets"]),
            (43, 11, &["`targets` is a list"]),
        ],
    );
}

//! Claims about the tables of single module types.

use proptest::prelude::*;

use super::*;
use crate::conbus::TableChunk;

fn table(module_type: ModuleType, letters: &str) -> ModuleTable {
    let chunk = TableChunk::parse(letters.as_bytes()).unwrap();
    assert_eq!(chunk.index, 0);
    let table = ModuleTable::decode(module_type, chunk.bytes).unwrap();
    assert_eq!(table.encode(), chunk.bytes);
    assert_eq!(ModuleTable::parse(module_type, &table.to_string()).as_ref(), Ok(&table));
    table
}

#[test]
fn an_xp24_as_downloaded() {
    let table =
        table(ModuleType::XP24, "AAAAADAAADAAADAAADAAAAAAAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(table.to_string(), "T:0 T:0 T:0 T:0 | M12:0 M34:0 C12:0 C34:0 DT:12\n");
    let older = ModuleTable::parse(ModuleType::XP24, &format!("XP24 {table}"));
    assert_eq!(older, Ok(table));
}

#[test]
fn an_xp20_as_downloaded() {
    let table =
        table(ModuleType::XP20, "AAAAAAAAAAABACAEAIBACAEAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(table.to_string().lines().next(), Some("CH1 I:0 S:0 G:0 AND:10000000 SA:0 TA:0"));
    assert_eq!(table.to_string().lines().nth(7), Some("CH8 I:0 S:0 G:0 AND:00000001 SA:0 TA:0"));
}

#[test]
fn an_xp33led_as_downloaded() {
    let table =
        table(ModuleType::XP33LED, "AAAAAAGEAAGEAAGEAABECIDMAADMFACIAABEBEBEAAGEGEGEAHAAAAAAAAAAAAAAAAAA");
    assert_eq!(
        table.to_string(),
        "OUT1 MIN:0 MAX:100 SO:1 SF:0 LE:0\n\
         OUT2 MIN:0 MAX:100 SO:1 SF:0 LE:0\n\
         OUT3 MIN:0 MAX:100 SO:1 SF:0 LE:0\n\
         SCENE1 OUT1:20 OUT2:40 OUT3:60 T:NONE\n\
         SCENE2 OUT1:60 OUT2:80 OUT3:40 T:NONE\n\
         SCENE3 OUT1:20 OUT2:20 OUT3:20 T:NONE\n\
         SCENE4 OUT1:100 OUT2:100 OUT3:100 T:NONE\n"
    );
    let numbered = table.to_string().replace("T:NONE", "T:0");
    assert_eq!(ModuleTable::parse(ModuleType::XP33LED, &numbered), Ok(table));
}

#[test]
fn a_byte_that_the_table_cannot_keep_is_named() {
    let mut bytes = [0; 32];
    bytes[31] = 1;
    let unread = ModuleTableError::Byte { at: 31, value: 1 };
    assert_eq!(ModuleTable::decode(ModuleType::XP24, bytes), Err(unread));
    bytes = [0; 32];
    bytes[1] = 101;
    let too_bright = ModuleTableError::Byte { at: 1, value: 101 };
    assert_eq!(ModuleTable::decode(ModuleType::XP33LR, bytes), Err(too_bright));
    assert_eq!(
        ModuleTable::decode(ModuleType::XP230, [0; 32]),
        Err(ModuleTableError::ModuleType(ModuleType::XP230))
    );
}

#[test]
fn a_line_of_another_form_is_named() {
    let good = ModuleTable::decode(ModuleType::XP20, [0; 32]).unwrap().to_string();
    for (from, to) in [("CH3", "CH4"), ("CH3 I:0", "CH3 I:2"), ("CH3 I:0 S:0", "CH3 S:0 I:0")] {
        let wrong = ModuleTable::parse(ModuleType::XP20, &good.replace(from, to));
        assert_eq!(wrong, Err(ModuleTableError::Form { line: 3, form: XP20_FORM }), "{to}");
    }
    assert_eq!(
        ModuleTable::parse(ModuleType::XP33, "OUT1 MIN:0"),
        Err(ModuleTableError::Lines { expected: 7, found: 1 })
    );
    assert_eq!(
        ModuleTable::parse(ModuleType::XP24, "T:0"),
        Err(ModuleTableError::Form { line: 1, form: XP24_FORM })
    );
}

proptest! {
    #[test]
    fn what_decodes_survives_as_bytes_and_text(
        module_type in prop::sample::select(vec![ModuleType::XP24, ModuleType::XP20, ModuleType::XP33]),
        small in prop::collection::vec(0u8..=1, 32),
        large in prop::collection::vec(0u8..=19, 13),
    ) {
        for head in [&small[..13], &large[..]] {
            let mut bytes = [0; 32];
            bytes[..13].copy_from_slice(head);
            if let Ok(table) = ModuleTable::decode(module_type, bytes) {
                prop_assert_eq!(table.encode(), bytes);
                prop_assert_eq!(ModuleTable::parse(module_type, &table.to_string()), Ok(table));
            } else {
                prop_assert!(module_type == ModuleType::XP24, "only its flags can be wrong here");
            }
        }
    }

    #[test]
    fn any_bytes_are_a_table_or_an_error(bytes in any::<[u8; 32]>()) {
        for module_type in [ModuleType::XP24, ModuleType::XP20, ModuleType::XP33] {
            if let Ok(table) = ModuleTable::decode(module_type, bytes) {
                prop_assert_eq!(table.encode(), bytes);
            }
        }
    }
}

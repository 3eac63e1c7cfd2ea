//! Action tables: 96 entries as bytes, as chunks of letters and as text (protocol reference 3.6).

use std::fmt;
use std::str::FromStr;

use super::action::{Action, EntryError, Parameter, TableEntry};
use super::{EventSource, ModuleType, OutputIndex, checksum};

/// One chunk of a table as F17 carries it: an index of four letters and 32 bytes of 64 letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TableChunk {
    /// Which chunk, from 0.
    pub index: u16,
    /// Its bytes.
    pub bytes: [u8; Self::BYTES],
}

/// Why the data of an F17 are not a chunk of this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Not 4 and 64 letters from `A` to `P`.
    #[error("a table chunk has 68 letters from `A` to `P`")]
    Form,
    /// A chunk that the table does not have.
    #[error("the table has no chunk `{0}`")]
    Index(u16),
    /// A chunk did not come.
    #[error("chunk `{0}` of the table is missing")]
    Missing(u16),
}

impl TableChunk {
    /// How many bytes of the table a chunk carries.
    pub const BYTES: usize = 32;

    /// Reads what follows the `D` of an F17.
    pub fn parse(letters: &[u8]) -> Result<Self, ChunkError> {
        let bytes = checksum::from_letters(letters).ok_or(ChunkError::Form)?;
        let (header, bytes) = bytes.split_first_chunk::<2>().ok_or(ChunkError::Form)?;
        let bytes = bytes.try_into().map_err(|_| ChunkError::Form)?;
        Ok(Self { index: u16::from_be_bytes(*header), bytes })
    }

    /// The letters of an F17.
    pub fn to_letters(&self) -> Vec<u8> {
        let mut letters = checksum::to_letters(&self.index.to_be_bytes());
        letters.extend(checksum::to_letters(&self.bytes));
        letters
    }
}

/// The table by which a module reacts to events: 96 slots of five bytes.
///
/// The bytes are the truth, as the module's own CRC covers them; entries are read from them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ActionTable([u8; Self::BYTES]);

/// More entries than a table has slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an action table has room for 96 entries, not `{0}`")]
pub struct TooManyEntries(pub usize);

/// Why a text is not an action table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableTextError {
    /// A line is not an entry.
    #[error("line {line}: {error}")]
    Entry {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        error: EntryError,
    },
    /// Too many lines.
    #[error(transparent)]
    TooMany(#[from] TooManyEntries),
}

impl Default for ActionTable {
    fn default() -> Self {
        Self::empty()
    }
}

impl ActionTable {
    /// How many entries a table has room for.
    pub const SLOTS: usize = 96;
    /// How many bytes a table has.
    pub const BYTES: usize = Self::SLOTS * TableEntry::BYTES;
    /// In how many chunks it travels.
    pub const CHUNKS: u16 = (Self::BYTES / TableChunk::BYTES) as u16;

    /// A table without entries: all bytes zero.
    pub fn empty() -> Self {
        Self([0; Self::BYTES])
    }

    /// The table with which a module leaves the factory: the site-wide `CP20 0 0` switches every output off,
    /// `CP20 0 1` on (protocol reference 5.4).
    pub fn factory(module_type: ModuleType) -> Self {
        let mut table = Self::empty();
        let rows = [(0, Action::OFF), (1, Action::ON)].into_iter().flat_map(|(input, action)| {
            OutputIndex::first(module_type.outputs()).map(move |output| TableEntry {
                source: EventSource { module_type: ModuleType::CP20, link: 0, input },
                output,
                action,
                parameter: Parameter::default(),
                inverted: false,
            })
        });
        table.fill(rows);
        table
    }

    fn fill(&mut self, entries: impl Iterator<Item = TableEntry>) {
        for (slot, entry) in self.0.chunks_exact_mut(TableEntry::BYTES).zip(entries) {
            slot.copy_from_slice(&entry.encode());
        }
    }

    /// A table of these entries, in this order.
    pub fn from_entries(entries: &[TableEntry]) -> Result<Self, TooManyEntries> {
        if entries.len() > Self::SLOTS {
            return Err(TooManyEntries(entries.len()));
        }
        let mut table = Self::empty();
        table.fill(entries.iter().copied());
        Ok(table)
    }

    /// A table of these bytes, whatever they are.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes as the module keeps them.
    pub fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The slots in use, each with its number from 0; a slot whose bytes are no entry says so.
    pub fn entries(&self) -> impl Iterator<Item = (usize, Result<TableEntry, EntryError>)> {
        let (slots, _) = self.0.as_chunks::<{ TableEntry::BYTES }>();
        slots
            .iter()
            .enumerate()
            .filter(|(_, bytes)| **bytes != [0; TableEntry::BYTES])
            .map(|(slot, bytes)| (slot, TableEntry::decode(*bytes)))
    }

    /// One chunk; `None` behind the end.
    pub fn chunk(&self, index: u16) -> Option<TableChunk> {
        let (chunks, _) = self.0.as_chunks::<{ TableChunk::BYTES }>();
        Some(TableChunk { index, bytes: *chunks.get(usize::from(index))? })
    }

    /// All chunks in order, as a download sends them.
    pub fn chunks(&self) -> impl Iterator<Item = TableChunk> {
        (0..Self::CHUNKS).filter_map(|index| self.chunk(index))
    }

    /// Takes one chunk, as an upload brings it.
    pub fn put(&mut self, chunk: TableChunk) -> Result<(), ChunkError> {
        let (chunks, _) = self.0.as_chunks_mut::<{ TableChunk::BYTES }>();
        *chunks.get_mut(usize::from(chunk.index)).ok_or(ChunkError::Index(chunk.index))? = chunk.bytes;
        Ok(())
    }

    /// A table of the chunks of a download: each at least once, in any order.
    pub fn from_chunks(chunks: impl IntoIterator<Item = TableChunk>) -> Result<Self, ChunkError> {
        let mut table = Self::empty();
        let mut missing: Vec<u16> = (0..Self::CHUNKS).collect();
        for chunk in chunks {
            table.put(chunk)?;
            missing.retain(|&index| index != chunk.index);
        }
        match missing.first() {
            Some(&index) => Err(ChunkError::Missing(index)),
            None => Ok(table),
        }
    }

    /// The letters of D14 (protocol reference 1.4).
    pub fn crc(&self) -> [u8; 8] {
        checksum::crc32_letters(&self.0)
    }
}

/// One entry a line, closed by `;`; a slot that is no entry prints as its bytes behind `#`.
impl fmt::Display for ActionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (slot, entry) in self.entries() {
            match entry {
                Ok(entry) => writeln!(f, "{entry};")?,
                Err(error) => writeln!(f, "# slot {slot}: {error}")?,
            }
        }
        Ok(())
    }
}

/// Reads entries a line; blank lines and what follows `#` do not count. Gaps between slots are not kept.
impl FromStr for ActionTable {
    type Err = TableTextError;

    fn from_str(text: &str) -> Result<Self, TableTextError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let entries = lines
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| line.parse().map_err(|error| TableTextError::Entry { line: at + 1, error }))
            .collect::<Result<Vec<TableEntry>, _>>()?;
        Ok(Self::from_entries(&entries)?)
    }
}

impl fmt::Debug for ActionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries().map(|(_, entry)| entry)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn factory_tables_have_the_crcs_that_modules_report() {
        assert_eq!(&ActionTable::factory(ModuleType::XP24).crc(), b"MFAELCII");
        assert_eq!(&ActionTable::factory(ModuleType::XP33LED).crc(), b"MHIEIJBG");
        assert_eq!(&ActionTable::empty().crc(), b"PLLKMDIN");
        assert_eq!(ActionTable::factory(ModuleType::XP20), ActionTable::empty());
    }

    #[test]
    fn the_factory_table_of_an_xp24_as_captured() {
        let table = ActionTable::factory(ModuleType::XP24);
        let letters: Vec<_> = table.chunks().map(|chunk| chunk.to_letters()).collect();
        assert_eq!(letters.len(), 15);
        assert_eq!(letters[0], b"AAAAACAAAABAAAACAAAABBAAACAAAABCAAACAAAABDAAACAAABAIAAACAAABAJAAACAA");
        assert_eq!(letters[1], b"AAABABAKAAACAAABALAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert!(letters[14].starts_with(b"AAAO"));
        assert_eq!(table.to_string().lines().nth(4), Some("CP20 0 1 > 1 ON;"));
    }

    #[test]
    fn a_chunk_that_is_missing_too_many_or_malformed_is_an_error() {
        let table = ActionTable::factory(ModuleType::XP24);
        let without_3 = table.chunks().filter(|chunk| chunk.index != 3);
        assert_eq!(ActionTable::from_chunks(without_3), Err(ChunkError::Missing(3)));
        let beyond = TableChunk { index: 15, bytes: [0; 32] };
        assert_eq!(ActionTable::from_chunks([beyond]), Err(ChunkError::Index(15)));
        assert_eq!(TableChunk::parse(&[b'A'; 64]), Err(ChunkError::Form));
        assert_eq!(TableChunk::parse(&[b'Q'; 68]), Err(ChunkError::Form));
        assert_eq!(table.chunk(15), None);
    }

    #[test]
    fn text_round_trips_and_names_the_wrong_line() {
        let text = "# all off\nCP20 0 0 > 1 OFF;\n\nCP20 4 0 > 1 ~TOGGLE 5 # hall\n";
        let table: ActionTable = text.parse().unwrap();
        assert_eq!(table.to_string(), "CP20 0 0 > 1 OFF;\nCP20 4 0 > 1 ~TOGGLE 5;\n");
        let wrong = "CP20 0 0 > 1 OFF\nCP20 0 0 > 0 OFF".parse::<ActionTable>().unwrap_err();
        assert_eq!(wrong.to_string(), "line 2: `0` is not an output from 1 to 8");
        let long = "CP20 0 0 > 1 OFF\n".repeat(97);
        assert_eq!(long.parse::<ActionTable>(), Err(TableTextError::TooMany(TooManyEntries(97))));
    }

    proptest! {
        #[test]
        fn any_480_bytes_survive_the_wire(bytes in prop::collection::vec(any::<u8>(), ActionTable::BYTES)) {
            let table = ActionTable::from_bytes(bytes.try_into().unwrap());
            let read = table.chunks().map(|chunk| TableChunk::parse(&chunk.to_letters()).unwrap());
            prop_assert_eq!(ActionTable::from_chunks(read), Ok(table.clone()));
            prop_assert!(table.entries().all(|(slot, _)| slot < ActionTable::SLOTS));
        }

        #[test]
        fn a_table_of_entries_survives_as_text(
            rows in prop::collection::vec((0u8..100, 0u8..100, 0u8..100, any::<u8>(), any::<u8>()), 0..=96),
        ) {
            let entries: Vec<TableEntry> = rows
                .iter()
                .map(|&(t, l, i, what, how)| {
                    let bcd = |n: u8| ((n / 10) << 4) | (n % 10);
                    TableEntry::decode([bcd(t), bcd(l), bcd(i), what, how]).unwrap()
                })
                .filter(|entry| entry.encode() != [0; 5])
                .collect();
            let table = ActionTable::from_entries(&entries).unwrap();
            prop_assert_eq!(table.to_string().parse(), Ok(table.clone()));
            prop_assert_eq!(table.entries().map(|(_, entry)| entry.unwrap()).collect::<Vec<_>>(), entries);
        }
    }
}

//! The tables of a module and how they travel (protocol reference 3.6): sessions of F10 to F13, F16 to F18.

use crate::conbus::{
    Action, ActionTable, Function, ModuleTable, ModuleType, OutputIndex, Parameter, Percent, System,
    TableChunk,
};

use super::{Module, Pace, Utterance};

/// The number of the datapoint that is the CRC of the action table: an answer that was given for it holds only as
/// long as the table.
pub(super) const TABLE_CRC: u8 = 14;

/// A table on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Session {
    /// The module sends; the chunk that is next.
    Download(Which, u16),
    /// The module takes.
    Upload(Which),
}

/// Which of the two tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    Actions,
    Own,
}

/// The module-specific table with which a module leaves the factory, as read from real modules.
pub(in super::super) fn factory_own_table(module_type: ModuleType) -> [u8; ModuleTable::BYTES] {
    let mut bytes = [0; ModuleTable::BYTES];
    match module_type {
        ModuleType::XP24 => {
            bytes[..8].copy_from_slice(&[3, 0, 3, 0, 3, 0, 3, 0]);
            bytes[10] = 12;
        }
        ModuleType::XP20 => bytes[3..11].copy_from_slice(&[1, 2, 4, 8, 16, 32, 64, 128]),
        ModuleType::XP33 | ModuleType::XP33LR | ModuleType::XP33LED => {
            bytes[..6].copy_from_slice(&[0, 100, 0, 100, 0, 100]);
            bytes[6..22].copy_from_slice(&[0, 20, 40, 60, 0, 60, 80, 40, 0, 20, 20, 20, 0, 100, 100, 100]);
            bytes[22] = 7;
        }
        _ => {}
    }
    bytes
}

impl Module {
    /// Whether it has an action table at all.
    pub(super) fn has_table(&self) -> bool {
        self.module_type().is_actor() || self.module_type() == ModuleType::XP20
    }

    fn has_own_table(&self) -> bool {
        matches!(
            self.module_type(),
            ModuleType::XP24 | ModuleType::XP20 | ModuleType::XP33 | ModuleType::XP33LR | ModuleType::XP33LED
        )
    }

    /// Whether an input of an XP20 counts as pressed when it is open.
    pub(super) fn inverts(&self, input: u8) -> bool {
        self.module_type() == ModuleType::XP20
            && self.setup.own_table[2].checked_shr(u32::from(input)).unwrap_or(0) & 1 == 1
    }

    /// What a direct input of an XP24 does.
    pub(super) fn direct_action(&self, input: u8) -> Option<(Action, Parameter)> {
        if self.module_type() != ModuleType::XP24 {
            return None;
        }
        let pair = self.setup.own_table.get(usize::from(input) * 2..8)?.first_chunk::<2>()?;
        Some((Action::new(pair[0])?, Parameter::new(pair[1])?))
    }

    /// The darkest and the brightest level of an output, off apart.
    pub(super) fn limits(&self, output: OutputIndex) -> (Percent, Percent) {
        let limit = |at: usize| self.setup.own_table.get(at).copied().and_then(Percent::new);
        let at = usize::from(output.get()) * 2;
        match (limit(at), limit(at + 1)) {
            (Some(least), Some(most)) if self.xp33() && least <= most && most != Percent::OFF => {
                (least, most)
            }
            _ => (Percent::OFF, Percent::FULL),
        }
    }

    /// Whether an output that is switched on starts at full light instead of its last level.
    pub(super) fn starts_at_full(&self, output: OutputIndex) -> bool {
        self.xp33() && self.setup.own_table[23] >> output.get() & 1 == 1
    }

    fn xp33(&self) -> bool {
        self.module_type().is_dimmable() && self.has_own_table()
    }

    /// F10 to F13 and F16 to F18.
    pub(super) fn transfer(&mut self, request: &System) -> Vec<Utterance> {
        match request.function {
            Function::TABLE_UPLOAD => self.begin(Session::Upload(Which::Actions)),
            Function::TABLE_DOWNLOAD => self.begin(Session::Download(Which::Actions, 0)),
            Function::MODULE_TABLE_UPLOAD => self.begin(Session::Upload(Which::Own)),
            Function::MODULE_TABLE_DOWNLOAD => self.begin(Session::Download(Which::Own, 0)),
            Function::TABLE_CHUNK => self.take_chunk(request.data()),
            Function::TABLE_END => self.end_upload(),
            // An acknowledgement of nothing is no request.
            _ => match self.session {
                Some(Session::Download(which, next)) => vec![self.give(which, next, Pace::Answer)],
                _ => Vec::new(),
            },
        }
    }

    fn begin(&mut self, session: Session) -> Vec<Utterance> {
        let (Session::Upload(which) | Session::Download(which, _)) = session;
        let has = match which {
            Which::Actions => self.has_table(),
            Which::Own => self.has_own_table(),
        };
        if !has {
            return vec![self.nak(Pace::Answer)];
        }
        self.session = Some(session);
        let ack = self.ack(Pace::Answer);
        match session {
            Session::Upload(_) => vec![ack],
            // The first chunk follows its acknowledgement unasked.
            Session::Download(which, first) => vec![ack, self.give(which, first, Pace::Next)],
        }
    }

    /// The next chunk, or the end of the table, after which the module restarts.
    fn give(&mut self, which: Which, index: u16, pace: Pace) -> Utterance {
        let chunk = match which {
            Which::Actions => self.setup.table.chunk(index),
            Which::Own => (index == 0).then_some(TableChunk { index, bytes: self.setup.own_table }),
        };
        if let Some(chunk) = chunk {
            self.session = Some(Session::Download(which, index + 1));
            return self.letters(Function::TABLE_CHUNK, chunk.to_letters(), pace);
        }
        self.end_session();
        self.letters(Function::TABLE_END, Vec::new(), pace)
    }

    /// A chunk is written when it comes: an upload that breaks off leaves half of it.
    fn take_chunk(&mut self, letters: &[u8]) -> Vec<Utterance> {
        let taken = match (self.session, TableChunk::parse(letters)) {
            (Some(Session::Upload(Which::Actions)), Ok(chunk)) => {
                self.setup.answers.remove(&TABLE_CRC);
                self.setup.table.put(chunk).is_ok()
            }
            (Some(Session::Upload(Which::Own)), Ok(chunk)) if chunk.index == 0 => {
                self.setup.own_table = chunk.bytes;
                true
            }
            _ => false,
        };
        vec![if taken { self.ack(Pace::Flash) } else { self.nak(Pace::Answer) }]
    }

    fn end_upload(&mut self) -> Vec<Utterance> {
        let Some(Session::Upload(_)) = self.session else { return vec![self.nak(Pace::Answer)] };
        self.end_session();
        vec![self.ack(Pace::Answer)]
    }

    fn end_session(&mut self) {
        self.session = None;
        self.restart_wanted = true;
    }

    /// Whether a table session has ended since this was last asked: the module restarts after a while.
    pub(in super::super) fn take_restart(&mut self) -> bool {
        std::mem::take(&mut self.restart_wanted)
    }

    /// The letters of D14.
    pub(super) fn table_crc(&self) -> [u8; 8] {
        self.setup.table.crc()
    }

    /// The letters of D22: the second table is not known and was empty on every module read.
    pub(super) fn second_table_crc() -> [u8; 8] {
        ActionTable::empty().crc()
    }
}

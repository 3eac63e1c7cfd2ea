//! The bus's vocabulary: telegrams and what they are made of.
//!
//! Pure: no clock, no I/O. Facts of the protocol are cited by their section of the protocol reference.

mod action;
mod action_table;
pub mod checksum;
mod datapoint;
mod describe;
mod digits;
mod frame;
mod function;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod letters;
mod module;
mod module_table;
mod output;
mod serial;
mod telegram;

pub use action::{Action, EntryError, Parameter, TableEntry, TimeCode, UnknownAction, UnknownTime};
pub use action_table::{ActionTable, ChunkError, TableChunk, TableTextError, TooManyEntries};
pub use datapoint::{Datapoint, DatapointValue, Levels, latin1};
pub use describe::{Description, Kind, describe, describe_noise, describe_telegram};
pub use frame::{FRAME_BYTES_MAX, Frame, Noise, NoiseCause, Piece, Splitter};
pub use function::Function;
pub use module::{Category, ModuleType, UnknownModuleType};
pub use module_table::{
    ModuleTable, ModuleTableError, Xp20Input, Xp20Table, Xp24Table, Xp33Output, Xp33Scene, Xp33Table,
};
pub use output::{Bitmap, OutputIndex, Percent, Point};
pub use serial::{SerialError, SerialNumber};
pub use telegram::{
    Command, Edge, Event, EventBus, EventMeaning, EventSource, GrammarError, Reply, System, Telegram,
};

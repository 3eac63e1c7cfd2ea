//! What an import has to say: each thing it changed, guessed or left out, with file and line.

use std::fmt;

/// Where something stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The index of the file.
    pub(super) file: usize,
    /// The line, counted from 1; 0 is the file as a whole.
    pub(super) line: usize,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is written otherwise than it stood, with the same meaning.
    Changed,
    /// It was not certain; what is written should be looked at.
    Guessed,
    /// It is not in the config.
    LeftOut,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed",
            Self::Guessed => "guessed",
            Self::LeftOut => "left out",
        })
    }
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remark {
    pub(super) place: Place,
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

/// Everything to say, as it comes.
#[derive(Debug, Default)]
pub(super) struct Remarks(Vec<Remark>);

impl Remarks {
    pub(super) fn changed(&mut self, place: Place, text: impl Into<String>) {
        self.0.push(Remark { place, verdict: Verdict::Changed, text: text.into() });
    }

    pub(super) fn guessed(&mut self, place: Place, text: impl Into<String>) {
        self.0.push(Remark { place, verdict: Verdict::Guessed, text: text.into() });
    }

    pub(super) fn left_out(&mut self, place: Place, text: impl Into<String>) {
        self.0.push(Remark { place, verdict: Verdict::LeftOut, text: text.into() });
    }

    /// In the order of files and lines.
    pub(super) fn sorted(mut self) -> Vec<Remark> {
        self.0.sort();
        self.0
    }
}

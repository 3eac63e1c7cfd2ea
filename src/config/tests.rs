//! Claims about whole files.

mod shipped;

//! The HomeKit door.

mod bytes_as_hex;
mod code;
mod keys;
mod pairings;
mod record;
mod setup;
mod srp;
mod tlv;
mod verify;

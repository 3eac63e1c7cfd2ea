//! The HomeKit door.

mod keys;
mod srp;
mod tlv;

//! The HomeKit door.

mod batch;
mod bytes_as_hex;
mod code;
mod events;
mod http;
mod keys;
mod lamp;
mod model;
mod pairings;
mod record;
mod setup;
mod srp;
mod status;
mod store;
mod tlv;
mod vault;
mod verify;

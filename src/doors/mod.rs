//! The doors: how people and programs reach the accessories. Each is a pure translation and a thin server.

mod card;
pub mod homekit;
pub mod http;
pub mod mqtt;
pub mod mux;
mod reload;

pub use card::{AccessoryCard, AccessoryFace, Cards, Roll};
pub use reload::{Reload, Reloads};
